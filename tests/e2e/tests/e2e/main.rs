//! The end-to-end tests. Run them with `tests/run.sh cluster`; a part of a name as argument chooses some.

mod contract;
mod faults;
mod order;
mod saas;

fn main() -> anyhow::Result<()> {
    let mut trials = Vec::new();
    trials.extend(saas::trials());
    trials.extend(contract::trials());
    trials.extend(order::trials());
    trials.extend(faults::trials());
    tenantry_e2e::run(trials)
}
