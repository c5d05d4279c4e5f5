//! Tells followers that something in their attempt's folder has changed: one inotify instance for all folders.
//!
//! It only ever wakes; what has changed is read from the folder. Where the kernel gives no watch (its limits are
//! reached), the follower looks more often by itself.

use rustix::{
    fs::inotify::{self, CreateFlags, Reader, WatchFlags},
    io::Errno,
};
use std::{
    collections::HashMap,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{io::unix::AsyncFd, sync::Notify, task::JoinHandle};

/// Text was appended, a file got its name, somebody let go of a file (the shim of its lock).
const EVENTS: WatchFlags =
    WatchFlags::MODIFY.union(WatchFlags::MOVED_TO).union(WatchFlags::CREATE).union(WatchFlags::CLOSE_WRITE);

/// All watched folders.
#[derive(Debug, Default)]
pub(super) struct Watches {
    /// Made with the first watch, which needs a runtime; `None` again if the kernel gives no instance.
    shared: Mutex<Option<Shared>>,
}

#[derive(Debug)]
struct Shared {
    kernel: Arc<Kernel>,
    reader: JoinHandle<()>,
}

#[derive(Debug)]
struct Kernel {
    inotify: AsyncFd<OwnedFd>,
    wakes: Mutex<HashMap<i32, Arc<Notify>>>,
}

/// One watched folder, until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    kernel: Option<(Arc<Kernel>, i32)>,
    changed: Arc<Notify>,
}

impl Watches {
    /// Watches a folder from now on.
    pub fn watch(&self, folder: &Path) -> Watch {
        let changed = Arc::new(Notify::new());
        let kernel = self.kernel().and_then(|kernel| {
            let watched = kernel.add(folder, Arc::clone(&changed));
            watched.map(|watch| (kernel, watch))
        });
        let kernel = kernel
            .inspect_err(|error| {
                tracing::debug!(folder = %folder.display(), %error, "no inotify watch; looking more often instead");
            })
            .ok();
        Watch { kernel, changed }
    }

    fn kernel(&self) -> std::io::Result<Arc<Kernel>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = &*shared {
            return Ok(Arc::clone(&shared.kernel));
        }
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe, for types that may name a foreign file; this one owns its own"
        )]
        let inotify = AsyncFd::new(inotify)?;
        let kernel = Arc::new(Kernel { inotify, wakes: Mutex::default() });
        let reader = tokio::spawn(read(Arc::clone(&kernel)));
        *shared = Some(Shared { kernel: Arc::clone(&kernel), reader });
        Ok(kernel)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Kernel {
    fn wakes(&self) -> MutexGuard<'_, HashMap<i32, Arc<Notify>>> {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, folder: &Path, wake: Arc<Notify>) -> std::io::Result<i32> {
        // Under the lock: the first event may come before this returns.
        let mut wakes = self.wakes();
        let watch = inotify::add_watch(&self.inotify, folder, EVENTS | WatchFlags::ONLYDIR)?;
        wakes.insert(watch, wake);
        Ok(watch)
    }

    /// Everything that waits is woken: also after an overflow, when it is not known whose event was dropped.
    fn drain(&self) -> Result<(), Errno> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(self.inotify.get_ref(), &mut buffer);
        loop {
            let event = match events.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            };
            let wakes = self.wakes();
            if event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW) {
                wakes.values().for_each(|wake| wake.notify_one());
            } else if let Some(wake) = wakes.get(&event.wd()) {
                wake.notify_one();
            }
        }
    }
}

async fn read(kernel: Arc<Kernel>) {
    loop {
        let Ok(mut ready) = kernel.inotify.readable().await else { return };
        match kernel.drain() {
            Err(Errno::WOULDBLOCK) | Ok(()) => ready.clear_ready(),
            Err(error) => {
                tracing::error!(%error, "inotify cannot be read; logs come later from now on");
                return;
            }
        }
    }
}

impl Watch {
    /// Whether changes are told at all.
    pub fn is_told(&self) -> bool {
        self.kernel.is_some()
    }

    /// Something has changed since the last time; for ever pending if nothing is told.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((kernel, watch)) = &self.kernel {
            kernel.wakes().remove(watch);
            // The folder may be gone, and its watch with it.
            let _ = inotify::remove_watch(&kernel.inotify, *watch);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;
    use std::{io::Write, time::Duration};
    use tokio::time::timeout;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn an_append_a_rename_and_the_end_of_a_writer_wake_only_their_own_follower() {
        let (ours, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let watches = Watches::default();
        let (our, other) = (watches.watch(ours.path()), watches.watch(others.path()));
        assert!(our.is_told() && other.is_told());
        let mut log = std::fs::File::create(ours.path().join("log")).unwrap();
        timeout(PATIENCE, our.changed()).await.unwrap();
        log.write_all(b"a line").unwrap();
        timeout(PATIENCE, our.changed()).await.unwrap();
        drop(log);
        timeout(PATIENCE, our.changed()).await.unwrap();
        std::fs::rename(ours.path().join("log"), ours.path().join("exit.json")).unwrap();
        timeout(PATIENCE, our.changed()).await.unwrap();
        assert!(timeout(Duration::ZERO, other.changed()).await.is_err(), "nothing happened there");
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_told_nothing_about() {
        let watches = Watches::default();
        assert!(!watches.watch(Path::new("/nowhere/at/all")).is_told());
    }
}
