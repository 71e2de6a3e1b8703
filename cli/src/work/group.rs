//! Process groups: a command and everything that it has started.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::time::Duration;
use tokio::process::Child;

/// How often to check whether a group is gone.
const LOOK: Duration = Duration::from_millis(20);

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

    /// Asks the group to end, and makes it end if it has not by then. Its leader, a shell, may end before the others.
    pub async fn end(&self, child: &mut Child, patience: Duration) {
        self.signal(Signal::TERM);
        let gone = async {
            // Until then, it belongs to the group.
            let _ = child.wait().await;
            while self.has_processes() {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(patience, gone).await.is_err() {
            self.signal(Signal::KILL);
        }
    }

    fn has_processes(&self) -> bool {
        self.0.is_some_and(|group| test_kill_process_group(group) != Err(Errno::SRCH))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
