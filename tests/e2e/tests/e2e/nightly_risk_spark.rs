//! The same night on a cluster, its scenarios in real Spark: the image has `PySpark` and a Java runtime.

use crate::nightly_risk::{
    SPACE, check_figures, customer, customer_named, example, night, number, outputs, reference,
};
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use std::path::PathBuf;
use std::process::Command;
use tenantry_e2e::{AgentSettings, Answer, Needs, Site, World, testbed, trial};

pub fn trials() -> Vec<Trial> {
    vec![trial(Needs::GivenNames, "a_night_of_risk_in_spark_on_a_cluster_has_the_laptops_figures", spark)]
}

/// The manifests as they stand, but for the scenarios' image.
fn spark(world: &World) -> Result<()> {
    let cluster = world.cluster()?;
    let mut build = Command::new(testbed().context("no test bed")?);
    Answer::of(build.arg("build-images").arg(world.folder()).arg("spark"))?.expect(0)?;
    let archive = world.folder().join("spark.tar");
    cluster.testbed(&["load-image"], &[&archive.display().to_string()])?;
    std::fs::remove_file(archive)?;

    world.owns(SPACE);
    for claim in ["data", "feed"] {
        world.volume(SPACE, claim, "nightly-risk-example")?;
    }
    let files = ["namespace.yaml", "scripts.yaml", "hooks.yaml"].map(|file| example().join(file));
    cluster.apply_files(&files.each_ref().map(PathBuf::as_path))?;
    let scenarios = std::fs::read_to_string(example().join("scenarios.yaml"))?;
    cluster.kubectl_with(&["apply", "-f", "-"], &scenarios.replace("local/python:1", "local/spark:1"))?;

    let mut site = Site::start(world, &[])?;
    site.add_region("eu1", AgentSettings::kubernetes(&cluster.kubeconfig, &[SPACE]))?;
    let root = world.folder().join("root").display().to_string();
    site.add_region("local", AgentSettings::process(&example()).flag("root", &root))?;
    for region in ["eu1", "local"] {
        site.wait_for_hooks(region, &["northbank-risk/scenario-base", "northbank-risk/report"])?;
    }
    let date = reference()?.business_date;
    let on_cluster = customer(&site, "eu1")?;
    let in_spark = site.wait_succeeded(night(&site, on_cluster, &date)?)?;
    check_figures(&in_spark)?;

    let on_laptop = customer_named(&site, "local", "risk-local")?;
    let plain = site.wait_succeeded(night(&site, on_laptop, &date)?)?;
    for scenario in reference()?.scenarios.keys() {
        let step = format!("scenario-{scenario}");
        let (spark, plain) = (outputs(&in_spark, &step)?, outputs(&plain, &step)?);
        ensure!(spark["engine"] == "spark" && plain["engine"] == "plain", "{spark:?} {plain:?}");
        for key in ["var99", "es975", "deltaNormal"] {
            // The outputs have two digits, and the engines agree within 1e-9.
            let off = (number(spark, key)? - number(plain, key)?).abs();
            ensure!(off < 0.015, "{scenario}: {key} is {} in Spark and {} without", spark[key], plain[key]);
        }
    }
    site.finish()
}
