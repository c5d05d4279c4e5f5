//! The end-to-end tests. `make test` runs them with all others; a part of a name as argument chooses some.

mod argo;
mod argo_cd;
mod argo_cd_place;
mod argo_crashes;
mod argo_events;
mod argo_kills;
mod argo_managed;
mod argo_many;
mod argo_regions;
mod argo_silent;
mod argo_verbs;
mod asked;
mod bad_input;
mod bridge;
mod bridge_place;
mod chaos;
mod containers;
mod containers_docker;
mod containers_window;
mod contract;
mod crashes;
mod damaged;
mod faults;
mod grace;
mod kubelet;
mod large;
mod life;
mod lost_version;
mod matrix;
mod nightly_risk;
mod nightly_risk_spark;
mod order;
mod pauses;
mod place;
mod reasons;
mod reasons_cases;
mod repeated;
mod rights;
mod saas;
mod several;
mod summary;
mod templates;
mod two_regions;
mod upgraded;
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
    trials.extend(damaged::trials());
    trials.extend(asked::trials());
    trials.extend(upgraded::trials());
    trials.extend(kubelet::trials());
    trials.extend(large::trials());
    trials.extend(two_regions::trials());
    trials.extend(vm_ansible::trials());
    trials.extend(chaos::trials());
    trials.extend(nightly_risk::trials());
    trials.extend(nightly_risk_spark::trials());
    trials.extend(containers::trials());
    trials.extend(containers_docker::trials());
    trials.extend(containers_window::trials());
    trials.extend(bridge::trials());
    trials.extend(argo::trials());
    trials.extend(argo_managed::trials());
    trials.extend(argo_cd::trials());
    trials.extend(argo_crashes::trials());
    trials.extend(argo_kills::trials());
    trials.extend(argo_regions::trials());
    trials.extend(argo_events::trials());
    trials.extend(argo_silent::trials());
    trials.extend(argo_verbs::trials());
    trials.extend(argo_many::trials());
    // The shared cluster with Argo starts when the other one's tests are over; its longest tests begin first.
    trials.sort_by_key(|trial| {
        let over_argo = trial.name().ends_with(place::OVER_ARGO);
        (over_argo, over_argo && !trial.name().starts_with("every_reason"))
    });
    tenantry_e2e::run(trials)
}
