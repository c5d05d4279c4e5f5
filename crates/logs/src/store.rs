//! The door: all attempts' logs under one folder, appended to, read and followed from many tasks.

use crate::{Appended, Chunk, Extent, LogError, attempt::AttemptLog, handles::Handles, shared};
use bytes::Bytes;
use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tenantry_model::{AttemptId, OperationId};
use tokio::sync::watch;

/// How many attempts' indexes stay in memory (some kilobytes each); others are looked through again when needed.
const MOST_LOADED: usize = 1024;
/// How many files stay open.
const MOST_OPEN: usize = 128;

/// What is kept of each attempt's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// So many bytes from its start.
    pub head: u64,
    /// At most so many bytes up to its end, and at least fifteen sixteenths of them.
    pub tail: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 1024 * 1024, tail: 4 * 1024 * 1024 }
    }
}

impl Limits {
    /// How much fits the segment that begins at `start`. A ring of sixteen: only whole files are dropped.
    pub(crate) fn of_segment(self, start: u64) -> u64 {
        if start == 0 { self.head.max(1) } else { (self.tail / 16).max(1) }
    }
}

/// How soon a follower looks again at a log that another process may append to.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// All attempts' logs. Cheap to clone. One process at a time may have it open (the data folder's lock sees to that),
/// unless all of them open it as shared.
#[derive(Clone, Debug)]
pub struct LogStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    limits: Limits,
    handles: Handles,
    loaded: Mutex<Loaded>,
    followers: Mutex<HashMap<AttemptId, watch::Sender<u64>>>,
    shared: bool,
}

#[derive(Debug, Default)]
struct Loaded {
    clock: u64,
    logs: HashMap<AttemptId, (u64, Arc<Slot>)>,
}

/// An attempt's log; `None` until it is needed, and again after an error, so that the next call looks at the files.
type Slot = Mutex<Option<AttemptLog>>;

impl LogStore {
    /// Opens (and makes) `folder` with the default [`Limits`].
    pub fn open(folder: &Path) -> Result<Self, LogError> {
        Self::with_limits(folder, Limits::default())
    }

    /// Opens (and makes) `folder`. Limits hold for what is appended from now on.
    pub fn with_limits(folder: &Path, limits: Limits) -> Result<Self, LogError> {
        Self::new(folder, limits, false)
    }

    /// Opens (and makes) `folder` together with other processes, on any machine whose file system keeps `flock` (local
    /// ones, NFS 4). Each call holds an operation's lock and looks whether the files are as it knows them.
    pub fn shared(folder: &Path, limits: Limits) -> Result<Self, LogError> {
        Self::new(folder, limits, true)
    }

    /// For looking only: makes nothing, also not a folder that is missing, which holds no logs. Nothing may be appended.
    #[must_use]
    pub fn at_rest(folder: &Path) -> Self {
        Self::of(folder, Limits::default(), false)
    }

    fn new(folder: &Path, limits: Limits, shared: bool) -> Result<Self, LogError> {
        fs::create_dir_all(folder).map_err(LogError::io("make", folder))?;
        Ok(Self::of(folder, limits, shared))
    }

    fn of(folder: &Path, limits: Limits, shared: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                root: folder.to_owned(),
                limits,
                handles: Handles::new(MOST_OPEN),
                loaded: Mutex::default(),
                followers: Mutex::default(),
                shared,
            }),
        }
    }

    /// How long a follower may wait for [`LogStore::changed`] before it looks by itself; `None`: as long as it likes.
    #[must_use]
    pub fn look_again(&self) -> Option<Duration> {
        self.inner.shared.then_some(LOOK_AGAIN)
    }

    /// Appends what is new of `bytes`, which begin at `offset` of the stream. A chunk that comes twice or overlaps
    /// changes nothing; bytes that were skipped are noted as lost, for good. Survives the end of the process; after
    /// a power failure the newest bytes may be missing, which [`LogStore::extent`] then says.
    pub async fn append(&self, attempt: &AttemptId, offset: u64, bytes: Bytes) -> Result<Appended, LogError> {
        let possible = offset.checked_add(bytes.len() as u64).is_some_and(|end| i64::try_from(end).is_ok());
        if !possible {
            return Err(LogError::BadOffset { attempt: Box::new(attempt.clone()), offset });
        }
        let done = self
            .with(attempt, move |inner, log| log.append(&inner.handles, inner.limits, offset, &bytes))
            .await?;
        if done.stored > 0 {
            self.notify(attempt);
        }
        Ok(done)
    }

    /// Says that nothing more will come, and puts the log on the disk. Saying it again changes nothing.
    pub async fn finish(&self, attempt: &AttemptId) -> Result<(), LogError> {
        self.finish_all(std::slice::from_ref(attempt)).await
    }

    /// The same for several: what they share is put on the disk once.
    pub async fn finish_all(&self, attempts: &[AttemptId]) -> Result<(), LogError> {
        let (inner, all) = (Arc::clone(&self.inner), attempts.to_vec());
        blocking(move || {
            let mut files = BTreeSet::new();
            for attempt in &all {
                files.extend(inner.work(attempt, |log| log.finish(&inner.handles, inner.limits))?);
            }
            for file in files {
                inner.handles.append(&file)?.sync_data().map_err(LogError::io("write to disk", file))?;
            }
            Ok(())
        })
        .await?;
        for attempt in attempts {
            self.notify(attempt);
        }
        Ok(())
    }

    /// Up to `most` bytes from `from` on. Where bytes are missing, a line that says so comes in their place; where
    /// nothing is yet, the chunk is empty.
    pub async fn read(&self, attempt: &AttemptId, from: u64, most: usize) -> Result<Chunk, LogError> {
        self.with(attempt, move |_, log| log.read(from, most)).await
    }

    /// How far the log goes; what an agent must send next.
    pub async fn extent(&self, attempt: &AttemptId) -> Result<Extent, LogError> {
        self.with(attempt, |_, log| Ok(log.extent())).await
    }

    /// Changes whenever the attempt's log does. To follow: call this once, then read until nothing comes, await
    /// [`watch::Receiver::changed`], read again.
    #[must_use]
    pub fn changed(&self, attempt: &AttemptId) -> watch::Receiver<u64> {
        let mut followers = lock(&self.inner.followers);
        // Nobody else cleans up after followers that left an attempt which never writes again.
        followers.retain(|_, sender| sender.receiver_count() > 0);
        followers.entry(attempt.clone()).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    /// Removes all logs of an operation. A crash in the middle leaves a part; calling it again removes the rest.
    pub async fn remove(&self, operation: OperationId) -> Result<(), LogError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let folder = inner.root.join(operation.to_string());
            let _ours = inner.shared.then(|| shared::lock(&inner.root, operation)).transpose()?;
            lock(&inner.loaded).logs.retain(|attempt, _| attempt.operation != operation);
            inner.handles.close(&folder);
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(LogError::io("remove", folder)(error))
                }
                _ => Ok(()),
            }
        })
        .await
    }

    /// The operations that have logs, in order.
    pub async fn operations(&self) -> Result<Vec<OperationId>, LogError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || crate::list::operations(&inner.root)).await
    }

    fn notify(&self, attempt: &AttemptId) {
        if let Some(sender) = lock(&self.inner.followers).get(attempt) {
            sender.send_modify(|count| *count += 1);
        }
    }

    async fn with<T: Send + 'static>(
        &self,
        attempt: &AttemptId,
        work: impl FnOnce(&Inner, &mut AttemptLog) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (inner, attempt) = (Arc::clone(&self.inner), attempt.clone());
        blocking(move || inner.work(&attempt, |log| work(&inner, log))).await
    }
}

impl Inner {
    fn work<T>(
        &self,
        attempt: &AttemptId,
        work: impl FnOnce(&mut AttemptLog) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let slot = self.slot(attempt);
        let mut slot = lock(&slot);
        let _ours = self.shared.then(|| shared::lock(&self.root, attempt.operation)).transpose()?;
        // Taken out, so that an error leaves nothing in memory that may differ from the files.
        let mut log = match slot.take() {
            Some(log) if !self.shared || log.is_current()? => log,
            _ => AttemptLog::load(&self.root, attempt)?,
        };
        let done = work(&mut log)?;
        *slot = Some(log);
        Ok(done)
    }

    fn slot(&self, attempt: &AttemptId) -> Arc<Slot> {
        let mut loaded = lock(&self.loaded);
        loaded.clock += 1;
        let now = loaded.clock;
        if let Some((used, slot)) = loaded.logs.get_mut(attempt) {
            *used = now;
            return Arc::clone(slot);
        }
        if loaded.logs.len() >= MOST_LOADED {
            // Only one that nobody works on: two states of one log must never exist at a time.
            let idle = loaded.logs.iter().filter(|(_, (_, slot))| Arc::strong_count(slot) == 1);
            if let Some(oldest) = idle.min_by_key(|(_, (used, _))| *used).map(|(attempt, _)| attempt.clone())
            {
                loaded.logs.remove(&oldest);
            }
        }
        let slot = Arc::default();
        loaded.logs.insert(attempt.clone(), (now, Arc::clone(&slot)));
        slot
    }
}

/// A panic while a log was changed leaves `None` in its slot, so a poisoned lock guards nothing broken.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(LogError::Stopping))
}
