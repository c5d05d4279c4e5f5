//! The end-to-end tests. Run them with `tests/run.sh cluster`; a part of a name as argument chooses some.

mod laptop;

fn main() -> anyhow::Result<()> {
    let mut trials = Vec::new();
    trials.extend(laptop::trials());
    tenantry_e2e::run(trials)
}
