//! The engine through its SQL functions on a real server: definitions, executions, the work protocol, control.

mod check;
mod children;
mod control;
mod define;
mod durability;
mod event;
mod fixture;
mod flow;
mod grant;
mod hand_over;
mod hostile;
mod items;
mod lease;
mod monitoring;
mod notify;
mod process;
mod report;
mod schedule;
mod signal;
mod start;
mod status;
mod ticker;
mod timeline;
mod timer;
mod wait;
mod why;
