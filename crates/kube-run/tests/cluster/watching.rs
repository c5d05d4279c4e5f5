//! More namespaces than are watched.

use crate::{
    bed::{Attempt, Bed, Gate, eventually, settings},
    trial,
};
use anyhow::ensure;
use libtest_mimic::Trial;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tenantry_kube_run::{Runner, Settings};

pub fn trials(kubeconfig: Option<&PathBuf>) -> Vec<Trial> {
    let (second, third) = (kubeconfig.cloned().unwrap_or_default(), kubeconfig.cloned().unwrap_or_default());
    vec![
        trial(kubeconfig, "attempts_keep_their_namespaces_watched_and_others_are_let_go_of", |bed| {
            kept(bed, second)
        }),
        trial(kubeconfig, "what_an_earlier_life_left_is_found_in_namespaces_that_are_not_watched", |bed| {
            left(bed, third)
        }),
    ]
}

/// Three namespaces, and one that stays watched.
struct Place {
    beds: Vec<Bed>,
    runner: Runner,
}

impl Place {
    async fn new(first: Bed, kubeconfig: &Path, settings: Settings) -> anyhow::Result<Self> {
        let runner = Runner::new(first.cluster.clone(), settings);
        let mut beds = vec![first];
        for _ in 0..2 {
            beds.push(Bed::new(kubeconfig).await?);
        }
        let beds = beds.into_iter().map(|bed| Bed { runner: runner.clone(), ..bed }).collect();
        Ok(Self { beds, runner })
    }

    /// The first one is its test's.
    async fn clean_up(&self) -> anyhow::Result<()> {
        for bed in &self.beds[1..] {
            bed.clean_up().await?;
        }
        Ok(())
    }

    async fn until_watched(&self, at_most: usize) -> anyhow::Result<()> {
        eventually("the end of watches that nobody needs", || async {
            Ok((self.runner.watched() <= at_most).then_some(()))
        })
        .await
    }
}

async fn kept(bed: Bed, kubeconfig: PathBuf) -> anyhow::Result<()> {
    let place = Place::new(bed, &kubeconfig, Settings { idle_watches: 1, ..settings() }).await?;
    let done = attempts_everywhere(&place).await;
    place.clean_up().await?;
    done
}

async fn attempts_everywhere(place: &Place) -> anyhow::Result<()> {
    for bed in &place.beds {
        place.runner.warm(&bed.namespace);
    }
    place.until_watched(1).await?;
    let mut running: Vec<(&Bed, Attempt, Gate, i32)> = Vec::new();
    for (bed, code) in place.beds.iter().zip([0, 0, 3]) {
        let (template, gate) = bed.gated(&format!("exit {code}")).await?;
        running.push((bed, bed.start(&template).await?, gate, code));
    }
    for (_, attempt, _, _) in &running {
        attempt.seen.running().await?;
    }
    // A round of the clean-up opens two others for a look, and lets go of all that are not needed but one.
    let opened = || place.runner.cluster().requests().so_far().watches;
    let before = opened();
    for name in ["kr-none-1", "kr-none-2"] {
        place.runner.warm(&name.parse()?);
    }
    eventually("a round of the clean-up", || async {
        Ok((opened() >= before + 4 && place.runner.watched() == 4).then_some(()))
    })
    .await?;
    for (_, attempt, gate, code) in &running {
        gate.open()?;
        let outcome = attempt.seen.outcome().await?;
        ensure!(outcome.exit_code == Some(*code), "{outcome:?}");
    }
    ensure!(place.runner.watched() == 4, "nothing is let go of before its end is committed");
    for (bed, attempt, _, _) in &running {
        place.runner.release(&attempt.known).await?;
        gone(bed, attempt).await?;
    }
    place.until_watched(1).await?;
    // Where nothing is watched any more a further one begins and ends like any other.
    for bed in &place.beds {
        let (attempt, outcome) = bed.run(&bed.shell("exit 4")).await?;
        ensure!(outcome.exit_code == Some(4), "{outcome:?}");
        place.runner.release(&attempt.known).await?;
        gone(bed, &attempt).await?;
    }
    place.until_watched(1).await
}

async fn left(bed: Bed, kubeconfig: PathBuf) -> anyhow::Result<()> {
    let kept = Settings { keep_failed: Duration::from_secs(3), ..settings() };
    // This life's clean-up never comes round.
    let earlier = Settings { sweep_interval: Duration::from_hours(1), ..kept.clone() };
    let place = Place::new(bed, &kubeconfig, earlier).await?;
    let done = found_later(&place, kept).await;
    place.clean_up().await?;
    done
}

async fn found_later(place: &Place, kept: Settings) -> anyhow::Result<()> {
    let mut attempts = Vec::new();
    for bed in &place.beds {
        let (attempt, _) = bed.run(&bed.shell("exit 3")).await?;
        place.runner.release(&attempt.known).await?;
        ensure!(bed.pod(&attempt).await?.is_some(), "a failed one stays for a while");
        attempts.push((bed, attempt));
    }
    let cluster = place.runner.cluster().clone();
    let later = Runner::new(cluster, Settings { idle_watches: 0, ..kept });
    for bed in &place.beds {
        later.warm(&bed.namespace);
    }
    ensure!(later.watched() == 0, "none is watched from the beginning");
    for (bed, attempt) in &attempts {
        gone(bed, attempt).await?;
    }
    eventually("the end of all watches", || async { Ok((later.watched() == 0).then_some(())) }).await
}

async fn gone(bed: &Bed, attempt: &Attempt) -> anyhow::Result<()> {
    eventually("the end of the Pod", || async { Ok(bed.pod(attempt).await?.is_none().then_some(())) }).await
}
