//! Process groups: a command and everything that it has started.

use rustix::process::{Pid, Signal, kill_process_group};
use std::time::Duration;
use tokio::process::Child;

/// The process group of a command. All its processes are killed when this value is dropped.
pub struct Group(Option<Pid>);

impl Group {
    /// Returns the group that a command leads.
    pub fn of(child: &Child) -> Group {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Group(id.and_then(Pid::from_raw))
    }

    /// Sends a signal to every process of the group. An empty group is not an error.
    pub fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, signal);
        }
    }

    /// Asks the group to end, and makes it end if it has not by then.
    pub async fn end(&self, child: &mut Child, patience: Duration) {
        self.signal(Signal::TERM);
        if tokio::time::timeout(patience, child.wait()).await.is_err() {
            self.signal(Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
