//! The end-to-end tests. Run them with `tests/run.sh cluster`; a part of a name as argument chooses some.

mod kubelet;
mod lost_version;
mod order;
mod reasons;
mod reasons_cases;
mod saas;

fn main() -> anyhow::Result<()> {
    let mut trials = Vec::new();
    trials.extend(saas::trials());
    trials.extend(order::trials());
    trials.extend(reasons::trials());
    trials.extend(lost_version::trials());
    trials.extend(kubelet::trials());
    tenantry_e2e::run(trials)
}
