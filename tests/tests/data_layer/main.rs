//! The data layer through the client on a real server: every operation, every kind of error.

mod action;
mod bad_input;
mod definition;
mod engine;
mod execution;
mod fixture;
mod list;
mod pack;
mod privilege;
mod task_execution;
mod transaction;
mod view;
mod workflow_execution;
