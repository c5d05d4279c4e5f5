//! An executor whose reports come several times, in any order, long after they were true, and of attempts that were
//! superseded: the end is the one that honest reports lead to. The same on every store.

use super::*;
use tenantry_engine::StepVerb;
use tenantry_manager::StepOptions;

/// How reports travel. Without a seed as they were made; with one each comes once to three times, mixed with whatever was
/// ever reported before, in an order and in parts that the seed decides.
struct Wire {
    seed: Option<u64>,
    all: Vec<Observation>,
}

impl Wire {
    /// `SplitMix64`.
    fn below(&mut self, bound: usize) -> usize {
        let seed = self.seed.as_mut().unwrap();
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = *seed;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % bound as u64).unwrap()
    }

    async fn send(&mut self, manager: &Manager, reports: Vec<Observation>) {
        if self.seed.is_none() {
            for report in reports {
                assert_eq!(manager.agent_observe(&region(), vec![report]).await.unwrap(), vec![]);
            }
            return;
        }
        let mut sent = Vec::new();
        for report in &reports {
            sent.extend(vec![report.clone(); 1 + self.below(3)]);
        }
        for _ in 0..self.all.len().min(6) {
            let old = self.below(self.all.len());
            sent.push(self.all[old].clone());
        }
        self.all.extend(reports);
        for last in (1..sent.len()).rev() {
            let other = self.below(last + 1);
            sent.swap(last, other);
        }
        while !sent.is_empty() {
            let part = sent.split_off(sent.len() - 1 - self.below(sent.len().min(3)));
            assert_eq!(manager.agent_observe(&region(), part).await.unwrap(), vec![]);
        }
    }
}

struct Night<'a> {
    world: &'a World,
    manager: &'a Manager,
    agent: &'a mut Agent,
    wire: Wire,
    operation: OperationId,
    started: Vec<String>,
}

impl Night<'_> {
    /// What is to be started, by the step's name.
    async fn starts(&mut self) -> BTreeMap<String, AttemptId> {
        self.world.pass(SignedDuration::from_secs(1));
        let mut starts = BTreeMap::new();
        for start in self.agent.starts(self.manager).await {
            assert_eq!(start.attempt.operation, self.operation);
            let name = start.attempt.step.path().to_string();
            self.started.push(format!("{name} {}", start.attempt.number));
            assert!(starts.insert(name, start.attempt).is_none());
        }
        starts
    }

    /// A life from its start to its end, or to where it runs.
    fn life(&mut self, attempt: &AttemptId, outcome: Option<Outcome>) -> Vec<Observation> {
        let at = self.world.now();
        let object = "pid 1".to_owned();
        let starting = Fact::Starting { object: object.clone(), waiting_for: Some("its image".to_owned()) };
        let unknown = Fact::Unknown { why: "the node is silent".to_owned() };
        let running = Fact::Running { object, started_at: at, node: None, images: BTreeMap::new() };
        let mut facts = vec![starting, unknown, running];
        facts.extend(outcome.map(|outcome| ended_fact(at, outcome)));
        facts.into_iter().map(|fact| self.agent.observation(attempt, at, fact)).collect()
    }

    async fn rerun(&self, with_successors: bool) {
        let options = StepOptions { reason: Some("bad data".to_owned()), ..StepOptions::default() };
        let verb = StepVerb::Rerun { with_successors };
        self.manager.steer_step(&admin(), self.operation, &hook_ref("crm/a"), verb, options).await.unwrap();
    }
}

/// A night in which `crm/a` fails, is run again, succeeds, and is run again with `crm/b`, which runs meanwhile. Everything
/// that is left of it.
async fn night(world: &World, manager: &Manager, agent: &mut Agent, name: &str, seed: Option<u64>) -> String {
    let (environment, operation) = create(manager, name).await;
    let wire = Wire { seed, all: Vec::new() };
    let mut night = Night { world, manager, agent, wire, operation, started: Vec::new() };
    let first = night.starts().await;
    let mut reports = night.life(&first["crm/a"], Some(failure()));
    reports.extend(night.life(&first["ops/c"], Some(success_with("pages", "3"))));
    night.wire.send(manager, reports).await;

    night.rerun(false).await;
    let second = night.starts().await;
    let reports = night.life(&second["crm/a"], Some(success_with("rows", "17")));
    night.wire.send(manager, reports).await;

    // It runs on what was wrong, and is thrown away; that it had succeeded is heard when nobody wants to know.
    let third = night.starts().await;
    let reports = night.life(&third["crm/b"], None);
    night.wire.send(manager, reports).await;
    night.rerun(true).await;
    assert!(night.starts().await.is_empty(), "not before its end is known");
    let late = night.agent.observation(
        &third["crm/b"],
        world.now(),
        ended_fact(world.now(), success_with("sum", "wrong")),
    );
    night.wire.send(manager, vec![late]).await;

    let fourth = night.starts().await;
    let reports = night.life(&fourth["crm/a"], Some(success_with("rows", "18")));
    night.wire.send(manager, reports).await;
    let fifth = night.starts().await;
    let reports = night.life(&fifth["crm/b"], Some(success_with("sum", "right")));
    night.wire.send(manager, reports).await;
    // Once more all of it, when everything is over.
    let all = night.wire.all.clone();
    night.wire.send(manager, all).await;
    assert!(night.starts().await.is_empty());

    let view = manager.operation(operation).await.unwrap();
    let mut left = format!("{:?}\nstarted {:?}\n", view.operation.state, night.started);
    for step in &view.steps {
        let flags = (step.state, step.attempt, step.waiting, step.is_stale());
        left += &format!("{} {flags:?} {:?}\n", step.hook, step.outputs);
    }
    for attempt in &view.attempts {
        let outcome = attempt.outcome.as_ref().map(|outcome| (outcome.reason, &outcome.outputs));
        let (id, unknown) = (&attempt.id, attempt.unknown_since.is_some());
        left += &format!("{} {} {:?} {outcome:?} unknown: {unknown}\n", id.step, id.number, attempt.state);
    }
    for row in manager.applied(environment.id).await.unwrap() {
        left += &format!("applied {} {:?} dirty: {}\n", row.hook, row.generation, row.dirty);
    }
    assert!(manager.verify_audit(Some(environment.id)).await.unwrap().is_ok());
    left
}

/// Over any store.
pub async fn reports_of_any_kind_lead_to_the_same_end(world: &World, manager: &Manager) {
    prepare(manager).await;
    let hook = |path: &str, after: &[&str]| readable(hook(path, &["lifecycle.upsert"], after));
    let hooks = vec![hook("crm/a", &[]), hook("crm/b", &["crm/a"]), hook("ops/c", &[])];
    let mut agent = Agent::open(manager, hooks).await;
    let honest = night(world, manager, &mut agent, "honest", None).await;
    for part in [
        "Succeeded\nstarted [\"crm/a 1\", \"ops/c 1\", \"crm/a 2\", \"crm/b 1\", \"crm/a 3\", \"crm/b 2\"]",
        "eu1/crm/a (Succeeded, 3, false, false) {\"rows\": \"18\"}",
        "eu1/crm/b (Succeeded, 2, false, false) {\"sum\": \"right\"}",
        "eu1/crm/b 1 Superseded",
    ] {
        assert!(honest.contains(part), "{part:?} is not in\n{honest}");
    }
    for seed in 0..25 {
        let left = night(world, manager, &mut agent, &format!("hostile-{seed}"), Some(seed)).await;
        assert_eq!(left, honest, "seed {seed}");
    }
    assert_eq!(findings(manager).await, []);
}
