//! Tests against a real cluster, named by `TENANTRY_TEST_KUBECONFIG`; without one they count as ignored.
//!
//! Each has a namespace of its own and cleans it up. With `TENANTRY_RECORD=FOLDER` the objects that it leaves are written
//! there first: so `tests/recorded` was made. Images: `local/tools:1` (busybox) must be on the node.
#![allow(clippy::unwrap_used)] // a test may

mod bed;
mod breaking;
mod discovery;
mod jobs;
mod life;
mod reasons;
mod rights;
mod watching;

use bed::Bed;
use libtest_mimic::{Arguments, Failed, Trial};
use std::{future::Future, path::PathBuf, time::Duration};

/// Longest time of one test on a slow machine.
const LIMIT: Duration = Duration::from_mins(10);

fn main() {
    let arguments = Arguments::from_args();
    let kubeconfig = std::env::var_os("TENANTRY_TEST_KUBECONFIG").map(PathBuf::from);
    if kubeconfig.is_none() {
        eprintln!("TENANTRY_TEST_KUBECONFIG names no cluster: the tests that need one are ignored");
    }
    let mut trials = Vec::new();
    trials.extend(life::trials(kubeconfig.as_ref()));
    trials.extend(reasons::trials(kubeconfig.as_ref()));
    trials.extend(jobs::trials(kubeconfig.as_ref()));
    trials.extend(rights::trials(kubeconfig.as_ref()));
    trials.extend(watching::trials(kubeconfig.as_ref()));
    trials.extend(breaking::trials());
    trials.extend(discovery::trials(kubeconfig.as_ref()));
    libtest_mimic::run(&arguments, trials).exit();
}

/// One test with a namespace of its own, which is removed whatever happens.
fn trial<F, T>(kubeconfig: Option<&PathBuf>, name: &str, test: T) -> Trial
where
    T: FnOnce(Bed) -> F + Send + 'static,
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let ignored = kubeconfig.is_none();
    let kubeconfig = kubeconfig.cloned().unwrap_or_default();
    let name = name.to_owned();
    Trial::test(name.clone(), move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime
            .block_on(async {
                let bed = Bed::new(&kubeconfig).await?;
                let answer = tokio::time::timeout(LIMIT, test(bed.clone())).await;
                if let Some(folder) = std::env::var_os("TENANTRY_RECORD") {
                    bed.record(&PathBuf::from(folder).join(format!("{name}.json"))).await?;
                }
                bed.clean_up().await?;
                answer.map_err(|_| anyhow::anyhow!("not done within {} s", LIMIT.as_secs()))?
            })
            .map_err(|error| Failed::from(format!("{error:#}")))
    })
    .with_ignored_flag(ignored)
}
