//! The end-to-end tests. `make test` runs them with all others; a part of a name as argument chooses some.

mod argo;
mod argo_cd;
mod argo_cd_place;
mod argo_managed;
mod argo_place;
mod bad_input;
mod bridge;
mod bridge_place;
mod chaos;
mod containers;
mod contract;
mod crashes;
mod faults;
mod grace;
mod kubelet;
mod life;
mod lost_version;
mod matrix;
mod nightly_risk;
mod nightly_risk_spark;
mod order;
mod pauses;
mod reasons;
mod reasons_cases;
mod repeated;
mod rights;
mod saas;
mod several;
mod summary;
mod templates;
mod two_regions;
mod vm_ansible;

fn main() -> anyhow::Result<()> {
    let mut trials = Vec::new();
    trials.extend(saas::trials());
    trials.extend(rights::trials());
    trials.extend(summary::trials());
    trials.extend(contract::trials());
    trials.extend(order::trials());
    trials.extend(matrix::trials());
    trials.extend(repeated::trials());
    trials.extend(crashes::trials());
    trials.extend(faults::trials());
    trials.extend(grace::trials());
    trials.extend(several::trials());
    trials.extend(pauses::trials());
    trials.extend(reasons::trials());
    trials.extend(lost_version::trials());
    trials.extend(templates::trials());
    trials.extend(bad_input::trials());
    trials.extend(kubelet::trials());
    trials.extend(two_regions::trials());
    trials.extend(vm_ansible::trials());
    trials.extend(chaos::trials());
    trials.extend(nightly_risk::trials());
    trials.extend(nightly_risk_spark::trials());
    trials.extend(containers::trials());
    trials.extend(bridge::trials());
    trials.extend(argo::trials());
    trials.extend(argo_managed::trials());
    trials.extend(argo_cd::trials());
    tenantry_e2e::run(trials)
}
