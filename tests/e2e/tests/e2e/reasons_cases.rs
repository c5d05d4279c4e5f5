//! What a hook does, and how its attempts must be seen to end: one row a failure, for Pods and for Jobs.

use serde_json::json;
use tenantry_e2e::{Hook, Team};
use tenantry_model::FailureReason;

/// What an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Pod,
    Job,
}

/// What the test does to an attempt while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// Nothing: the hook fails by itself.
    None,
    /// Each attempt is let go on once it is seen running: what a container does while its runtime still starts it, the
    /// runtime may not see.
    LetGo,
    /// `tenantry op kill`.
    Kill,
    /// `kubectl delete` of the attempt's object.
    Delete,
    /// `kubectl delete --force --grace-period=0`.
    Force,
    /// `kubectl delete pod` of a Job's Pod.
    DeletePod,
}

/// What follows the attempts that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The step waits for a decision.
    Waits,
    /// The next attempt succeeds, without anybody asking.
    Succeeds,
}

/// One failure.
#[derive(Debug)]
pub struct Case {
    pub hook: Hook,
    pub blow: Blow,
    /// How many attempts fail, all for the same reason.
    pub fails: usize,
    /// Perhaps more: what mends it is done while retries go on.
    pub or_more: bool,
    pub reason: FailureReason,
    /// One of these exit codes.
    pub exits: Vec<Option<i32>>,
    /// Parts of the message.
    pub says: Vec<String>,
    /// The whole log of each attempt that failed; `#` stands for its number.
    pub log: &'static str,
    /// The platform may remove the container before its log is read: then a part of it.
    pub torn: bool,
    pub then: Then,
}

impl Case {
    fn new(hook: Hook, reason: FailureReason) -> Self {
        Self {
            hook,
            blow: Blow::None,
            fails: 1,
            or_more: false,
            reason,
            exits: vec![None],
            torn: false,
            says: Vec::new(),
            log: "",
            then: Then::Waits,
        }
    }
    fn exit(self, code: i32) -> Self {
        Self { exits: vec![Some(code)], ..self }
    }
    /// SIGTERM, SIGKILL, or the kubelet took the container away before it had read its exit code.
    fn exit_of_a_signal(self) -> Self {
        Self { exits: vec![Some(143), Some(137), None], ..self }
    }
    fn exit_of_a_signal_or(self, code: i32) -> Self {
        Self { exits: vec![Some(code), Some(143), Some(137), None], ..self }
    }
    fn log(self, log: &'static str) -> Self {
        Self { log, ..self }
    }
    fn torn(self) -> Self {
        Self { torn: true, ..self }
    }
    fn says(mut self, part: &str) -> Self {
        self.says.push(part.to_owned());
        self
    }
    fn blow(self, blow: Blow) -> Self {
        Self { blow, ..self }
    }
    fn thrice(self) -> Self {
        Self { fails: 3, ..self }
    }
    fn twice(self) -> Self {
        Self { fails: 2, ..self }
    }
    fn or_more(self) -> Self {
        Self { or_more: true, ..self }
    }
    fn then_succeeds(self) -> Self {
        Self { then: Then::Succeeds, ..self }
    }
}

/// The teams of the scene.
pub struct Teams {
    pub crm: Team,
    /// A quota allows nothing.
    pub full: Team,
    /// Labels a node so that [`node_label`]'s hook has a place.
    pub tag: String,
}

/// The label that no node has until the test gives it one.
pub fn node_label(tag: &str) -> String {
    format!("e2e-{tag}")
}

/// Waits in the witness's folder until the test lets it go on.
pub fn gate(teams: &Teams) -> Hook {
    in_folder(teams.crm.hook("gate")).shell("until [ -e /witness/go ]; do sleep 0.2; done")
}

/// [`Blow::LetGo`]: the file for which an attempt waits, in the witness's folder.
pub fn go_file(hook: &str, attempt: &str) -> String {
    format!("go-{hook}-{attempt}")
}

fn wait_for_go(hook: &str) -> String {
    format!("until [ -e /witness/{} ]; do sleep 0.2; done", go_file(hook, "$LIFECYCLE_ATTEMPT"))
}

/// With the team's folder, which the test sees too.
fn in_folder(hook: Hook) -> Hook {
    hook.container("volumeMounts", json!([{"name": "witness", "mountPath": "/witness"}]))
        .pod("volumes", json!([{"name": "witness", "persistentVolumeClaim": {"claimName": "witness"}}]))
}

/// Attempts that reach the node and end there.
pub fn that_run(teams: &Teams) -> Vec<Case> {
    use FailureReason::{BadOutput, Deadline, Evicted, HookFailed, OutOfMemory};
    let hook = |name: &str, script: &str| {
        teams.crm.hook(name).shell(&format!("echo at work, attempt $LIFECYCLE_ATTEMPT; {script}"))
    };
    let limit = |hook: Hook, what: &str, size: &str| {
        hook.container("resources", json!({"requests": {what: size}, "limits": {what: size}}))
    };
    // Whatever happens to the first attempt, the second has nothing to do.
    let once = |script: &str| format!("[ $LIFECYCLE_ATTEMPT = 1 ] || exit 0; {script}");
    let log = "at work, attempt #\n";
    vec![
        Case::new(hook("code", "echo no; exit 42"), HookFailed).exit(42).log("at work, attempt #\nno\n"),
        Case::new(hook("code-once", "[ $LIFECYCLE_ATTEMPT = 2 ] || exit 7").tenant("retries", "1"), HookFailed)
            .exit(7)
            .log(log)
            .then_succeeds(),
        Case::new(hook("signal", "exec 2>/dev/null; sleep 60 & kill -9 $!; wait $!"), HookFailed)
            .exit(137)
            .log(log)
            .says("no memory limit"),
        // What a hook says of itself never counts as the kernel's word.
        Case::new(limit(hook("own-137", "exit 137"), "memory", "48Mi"), HookFailed)
            .exit(137)
            .log(log)
            .says("its limit of 48Mi")
            .says("by itself"),
        Case::new(hook("number", r#"printf '{"n":1}' > "$LIFECYCLE_OUTPUT_FILE""#), BadOutput)
            .exit(0)
            .log(log)
            .says("outputs are strings"),
        Case::new(
            hook("long", r#"{ printf '{"a":"'; head -c 5000 /dev/zero | tr '\0' a; printf '"}'; } > "$LIFECYCLE_OUTPUT_FILE""#),
            BadOutput,
        )
        .exit(0)
        .log(log)
        .says("4096"),
        Case::new(
            limit(
                in_folder(hook("memory", &format!("{}; exec tb eat 300Mi --hold 60s", wait_for_go("memory")))),
                "memory",
                "48Mi",
            )
            .tenant("retries", "2"),
            OutOfMemory,
        )
        .blow(Blow::LetGo)
        .exit(137)
        .log(log)
        .says("memory")
        .thrice(),
        Case::new(
            limit(hook("storage", &once("exec tb fill /tmp/fill 40Mi --hold 600s")), "ephemeral-storage", "8Mi"),
            Evicted,
        )
        .exit_of_a_signal()
        .log("at work, attempt #\nwrote 41943040 bytes to /tmp/fill\n")
        .torn()
        .says("ephemeral")
        .then_succeeds(),
        Case::new(hook("late", "exec tb sleep 600s").tenant("timeout", "15s"), Deadline)
            .exit_of_a_signal()
            .log(log)
            // The time runs from the Pod's start on: a slow machine may not have come to the first line.
            .torn(),
        Case::new(
            teams.crm.hook("init").shell("echo never").pod(
                "initContainers",
                json!([{
                    "name": "prepare", "image": "local/tools:1", "imagePullPolicy": "Never",
                    "command": ["sh", "-c", "echo not ready; exit 9"]
                }]),
            ),
            HookFailed,
        )
        .exit(9)
        .log("not ready\n")
        .says("init container prepare"),
    ]
}

/// Attempts that never start.
pub fn that_never_start(teams: &Teams, kind: Kind) -> Vec<Case> {
    use FailureReason::{CannotStart, ImagePull, NameCollision, Rejected, Unschedulable};
    let hook = |name: &str| teams.crm.hook(name);
    let secret = json!({"secretKeyRef": {"name": "nowhere", "key": "password"}});
    let mut cases = vec![
        Case::new(
            hook("registry")
                .container("image", json!("127.0.0.1:9/none:1"))
                .container("imagePullPolicy", json!("Always")),
            ImagePull,
        )
        .says("127.0.0.1:9/none:1"),
        Case::new(hook("never").container("image", json!("local/none:1")), ImagePull)
            .says("ErrImageNeverPull")
            .says("local/none:1"),
        Case::new(hook("badname").container("image", json!("local/NONE//:1")), ImagePull)
            .says("InvalidImageName"),
        Case::new(hook("nowhere").pod("nodeSelector", json!({node_label(&teams.tag): "yes"})), Unschedulable)
            .says("node")
            .or_more()
            .then_succeeds(),
        Case::new(hook("taken").after("gate"), NameCollision)
            .says("exists and was not made for this attempt"),
        Case::new(
            hook("secret").container("env", json!([{"name": "PASSWORD", "valueFrom": secret}])),
            CannotStart,
        )
        .says("\"nowhere\" not found"),
        Case::new(
            hook("volume")
                .container("volumeMounts", json!([{"name": "s", "mountPath": "/s"}]))
                .pod("volumes", json!([{"name": "s", "secret": {"secretName": "nowhere"}}])),
            CannotStart,
        )
        .says("\"nowhere\" not found"),
        Case::new(hook("command").command(&["/not/there"]), CannotStart).exit(128).says("/not/there"),
        Case::new(hook("account").pod("serviceAccountName", json!("nobody")), Rejected).says("nobody"),
        Case::new(teams.full.hook("quota"), Rejected).says("exceeded quota"),
    ];
    if kind == Kind::Pod {
        // The API server refuses it itself; a person must mend the quota, so that a retry of the hook's is used up.
        cases.push(
            Case::new(teams.full.hook("quota-again").tenant("retries", "1"), Rejected)
                .says("exceeded quota")
                .twice(),
        );
    }
    cases
}

/// Attempts that run until somebody ends them.
pub fn that_are_ended(teams: &Teams, kind: Kind) -> Vec<Case> {
    use FailureReason::{Deleted, Killed};
    let waits = |name: &str| {
        // Beside a Pod's of the same case.
        let name = if kind == Kind::Job { format!("{name}-job") } else { name.to_owned() };
        let script = format!(
            "trap 'echo told to stop; exit 0' TERM; echo at work; [ $LIFECYCLE_ATTEMPT = 1 ] || exit 0; \
             touch /witness/up-{name}; sleep 600 & wait"
        );
        in_folder(teams.crm.hook(&name)).shell(&script).pod("terminationGracePeriodSeconds", json!(120))
    };
    let log = "at work\ntold to stop\n";
    let mut cases = vec![
        // Two retries are left, and none is used.
        Case::new(waits("killed").tenant("retries", "2"), Killed).blow(Blow::Kill).exit(0).log(log),
        Case::new(waits("deleted"), Deleted).blow(Blow::Delete).exit(0).log(log).then_succeeds(),
        Case::new(waits("forced"), Deleted)
            .blow(Blow::Force)
            .exit_of_a_signal_or(0)
            .log(log)
            .torn()
            .then_succeeds(),
    ];
    if kind == Kind::Job {
        cases.push(
            Case::new(waits("pod-deleted"), Deleted).blow(Blow::DeletePod).exit(0).log(log).then_succeeds(),
        );
    }
    cases
}

/// Of a region of Argo: somebody deletes the template after the plan, while the step waits for the gate.
fn of_a_template_that_goes(teams: &Teams) -> Case {
    Case::new(teams.crm.hook("gone").after("gate"), FailureReason::TemplateGone).says("/gone is not there")
}

/// All of them.
pub fn all(teams: &Teams, kind: Kind) -> Vec<Case> {
    let mut cases = that_run(teams);
    cases.extend(that_never_start(teams, kind));
    cases.extend(that_are_ended(teams, kind));
    if kind == Kind::Job { as_jobs(cases) } else { cases }
}

/// All of Pods, with what somebody ends as a Job too: each step has a bridge, and who runs the attempt is the same code.
pub fn all_over_argo(teams: &Teams) -> Vec<Case> {
    let mut cases = all(teams, Kind::Pod);
    cases.push(of_a_template_that_goes(teams));
    cases.extend(as_jobs(that_are_ended(teams, Kind::Job)));
    cases
}

fn as_jobs(mut cases: Vec<Case>) -> Vec<Case> {
    for case in &mut cases {
        case.hook = case.hook.clone().tenant("attempt-kind", "job");
    }
    cases
}
