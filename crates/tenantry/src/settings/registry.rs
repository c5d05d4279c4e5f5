//! The registry itself: every setting, once.

/// Which commands a setting belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Every command.
    Common,
    /// Commands that speak to a manager.
    Client,
    /// Programs that keep running.
    Log,
    /// Where the manager's data is.
    Store,
    /// The manager.
    Manager,
    /// The agent's way to the manager.
    Agent,
    /// What runs attempts.
    Executor,
}

impl Group {
    /// Heading in `--help` and in the reference.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Common => "Common settings",
            Self::Client => "Manager to speak to",
            Self::Log => "tenantry's own log",
            Self::Store => "Where the data is",
            Self::Manager => "Manager settings",
            Self::Agent => "Agent settings",
            Self::Executor => "Executor settings",
        }
    }
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its flag without `--` and its key in the file.
    pub key: &'static str,
    /// What the value is, for people.
    pub value: &'static str,
    /// What it is when nobody says.
    pub default: Option<&'static str>,
    /// What it is for.
    pub help: &'static str,
    /// Who reads it.
    pub group: Group,
}

impl Setting {
    /// Its environment variable.
    pub fn env(&self) -> String {
        format!("TENANTRY_{}", self.key.replace('-', "_").to_uppercase())
    }
}

const fn setting(
    group: Group,
    key: &'static str,
    value: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> Setting {
    Setting { key, value, default, help, group }
}

use Group::{Agent, Client, Common, Executor, Log, Manager, Store};

/// All settings.
pub const ALL: &[Setting] = &[
    setting(
        Common,
        "config",
        "FILE",
        None,
        "Configuration file in TOML; without it ~/.config/tenantry/config.toml is read if it exists",
    ),
    setting(Client, "url", "URL", Some("http://127.0.0.1:7600"), "Where the manager is"),
    setting(
        Client,
        "token",
        "TOKEN",
        None,
        "Bearer token; better in the environment or in a file than on the command line",
    ),
    setting(Client, "token-file", "FILE", None, "File with the bearer token, used when no token is given"),
    setting(
        Client,
        "ca-file",
        "FILE",
        None,
        "PEM file with the certificate authority that signed the manager's certificate",
    ),
    setting(
        Log,
        "log",
        "FILTER",
        Some("info"),
        "What is logged, as tracing filter (`info`, `tenantry_manager=debug`)",
    ),
    setting(Log, "log-format", "text|json", Some("text"), "How it is logged on stderr"),
    setting(
        Store,
        "data",
        "FOLDER",
        Some("tenantry-data"),
        "Folder of the database and the hooks' logs; one manager at a time",
    ),
    setting(
        Store,
        "store",
        "sqlite|URL",
        Some("sqlite"),
        "What keeps the rows: sqlite (in the data folder), or postgres://USER@HOST:PORT/NAME for several managers (with ?sslmode=verify-full&sslrootcert=FILE for a server with a certificate of your own authority); a password belongs into store-password-file, PGPASSFILE or the environment, not on the command line",
    ),
    setting(Store, "store-password-file", "FILE", None, "File with the password of the database's user"),
    setting(
        Store,
        "store-migrate",
        "true|false",
        Some("true"),
        "Whether a manager brings an older schema up to its version when it starts; false: it refuses until `tenantry store migrate` did",
    ),
    setting(
        Store,
        "logs-folder",
        "FOLDER",
        None,
        "Folder of the hooks' logs (default: logs in the data folder); several managers on one database need the same one, on a file system that all of them reach",
    ),
    setting(
        Manager,
        "listen",
        "ADDRESS",
        Some("127.0.0.1:7600"),
        "Address and port; anything but loopback needs TLS",
    ),
    setting(Manager, "tls-cert", "FILE", None, "PEM certificate chain; read again when it changes"),
    setting(Manager, "tls-key", "FILE", None, "PEM private key; read again when it changes"),
    setting(
        Manager,
        "agent-silent",
        "DURATION",
        Some("45s"),
        "After this silence a region's attempts count as unknown",
    ),
    setting(
        Manager,
        "absent-grace",
        "DURATION",
        Some("2m"),
        "How long a hook that ran before may be absent before a plan is refused",
    ),
    setting(
        Manager,
        "hold-cap",
        "STEPS",
        Some("100"),
        "A hold by predicate that catches more steps than this, or everything, needs a stated cap (--max)",
    ),
    setting(
        Manager,
        "held-too-long",
        "DURATION",
        Some("1h"),
        "A hold that has no end, by hand or by predicate, and a paused operation raise attention after this time",
    ),
    setting(
        Manager,
        "four-eyes",
        "VERBS",
        None,
        "Verbs that a second person has to approve, with commas: confirm, ignore-dependency, declare-lost, skip, purge",
    ),
    setting(
        Manager,
        "approval-time",
        "DURATION",
        Some("4h"),
        "How long such a verb waits for the second person",
    ),
    setting(
        Manager,
        "replayable",
        "DURATION",
        Some("720h"),
        "How long regions keep the versions of hooks that ran, so that a replay can run them again",
    ),
    setting(
        Manager,
        "notify-http",
        "URLS",
        None,
        "Addresses to which attention is sent by POST, as CloudEvents in JSON, with commas",
    ),
    setting(Manager, "notify-token-file", "FILE", None, "File with the bearer token for those addresses"),
    setting(
        Manager,
        "notify-command",
        "PROGRAMS",
        None,
        "Programs that get attention on their standard input, one event a run, with commas; run without a shell",
    ),
    setting(
        Manager,
        "event-sinks",
        "FILE",
        None,
        "Document that names the receivers of events: HTTP and NATS JetStream (docs/guide/events.md)",
    ),
    setting(
        Manager,
        "event-source",
        "URI",
        None,
        "What events say they come from, unlike any other installation; by default a name that the first start makes",
    ),
    setting(
        Manager,
        "event-inbox",
        "FILE",
        None,
        "Document that names the stream of NATS JetStream from which operations are asked for (docs/guide/events.md)",
    ),
    setting(
        Manager,
        "event-max-age",
        "DURATION",
        None,
        "An event that asks for an operation and is older is refused; by default as long as keep-answers, and at most 24h",
    ),
    setting(
        Manager,
        "retention",
        "DURATION",
        Some("720h"),
        "How long a decommissioned environment can be undeleted",
    ),
    setting(
        Manager,
        "purge-reminder",
        "DURATION",
        Some("168h"),
        "So long after the end of its retention a decommissioned environment that nobody purged raises attention",
    ),
    setting(
        Manager,
        "cross-namespace-after",
        "true|false",
        Some("true"),
        "Whether tenant.after may name hooks of other namespaces",
    ),
    setting(
        Manager,
        "further-regions",
        "NAMES",
        None,
        "Regions whose hooks take part in every environment's operations, besides its own (comma-separated)",
    ),
    setting(
        Manager,
        "argo-regions",
        "FILE",
        None,
        "Document that names the regions whose hooks run in Workflows of Argo, without an agent (docs/argo.md)",
    ),
    setting(
        Manager,
        "workflow-silent",
        "DURATION",
        Some("5m"),
        "So long after the last word of a step's bridge in a region of Argo its Workflow counts as silent (at least `1m`)",
    ),
    setting(
        Manager,
        "platform-schema",
        "FILE",
        None,
        "JSON Schema that apps and settings of every environment must match",
    ),
    setting(
        Manager,
        "log-head",
        "BYTES",
        Some("1048576"),
        "How much of the beginning of an attempt's log is kept",
    ),
    setting(Manager, "log-tail", "BYTES", Some("4194304"), "How much of its end is kept"),
    setting(
        Manager,
        "keep-operations",
        "DURATION",
        Some("8760h"),
        "How long finished operations are kept, with steps, attempts and logs (`0s`: for ever)",
    ),
    setting(
        Manager,
        "keep-newest",
        "NUMBER",
        Some("20"),
        "So many of the newest operations of each environment and name stay whatever their age",
    ),
    setting(
        Manager,
        "keep-logs",
        "DURATION",
        Some("2160h"),
        "How long logs of finished operations are kept (`0s`: as their operation)",
    ),
    setting(Manager, "keep-events", "DURATION", Some("720h"), "How long events are kept (`0s`: for ever)"),
    setting(
        Manager,
        "keep-attention",
        "DURATION",
        Some("2160h"),
        "How long settled attention is kept (`0s`: for ever)",
    ),
    setting(
        Manager,
        "keep-answers",
        "DURATION",
        Some("24h"),
        "How long a request can be repeated under its Idempotency-Key",
    ),
    setting(
        Manager,
        "audit-key",
        "FILE",
        None,
        "Private key that signs heads of the audit log; made on the first start (default: audit-key.pem in the data folder)",
    ),
    setting(
        Manager,
        "audit-heads",
        "PATH",
        None,
        "Where signed heads are written besides the database: a folder (ends with /, a file each) or a file (a line each)",
    ),
    setting(
        Manager,
        "audit-heads-every",
        "DURATION",
        Some("5m"),
        "A head is signed after this time if anything was changed",
    ),
    setting(
        Manager,
        "audit-heads-after",
        "NUMBER",
        Some("1000"),
        "… or after so many changes, whatever comes first",
    ),
    setting(Agent, "manager-url", "URL", None, "Where the manager is, as seen from this region"),
    setting(
        Agent,
        "join-token",
        "TOKEN",
        None,
        "Join token of the region (`tenantry region join-token`), used once",
    ),
    setting(
        Agent,
        "manager-ca-file",
        "FILE",
        None,
        "PEM file with the certificate authority of the manager's certificate",
    ),
    setting(
        Agent,
        "folder",
        "FOLDER",
        Some("tenantry-agent"),
        "The agent's own folder: credential, templates, spool, attempts",
    ),
    setting(
        Agent,
        "status-listen",
        "ADDRESS",
        None,
        "Where the agent serves /healthz, /readyz and /metrics over plain HTTP (default: nowhere)",
    ),
    setting(Executor, "executor", "process|kubernetes", Some("process"), "What runs attempts"),
    setting(
        Executor,
        "annotation-domains",
        "NAMES",
        Some("tenantry.io"),
        "Prefixes under which annotations are read (comma-separated)",
    ),
    setting(Executor, "templates", "FOLDER", None, "Executor process: folder with the manifests"),
    setting(
        Executor,
        "runtime",
        "docker|podman",
        None,
        "Executor process: run each hook's image in a container instead of its command as a process",
    ),
    setting(
        Executor,
        "root",
        "FOLDER",
        None,
        "Executor process: folder with secrets/NAMESPACE/NAME/KEY and volumes/NAMESPACE/CLAIM (default: in the agent's folder)",
    ),
    setting(
        Executor,
        "object-store",
        "FOLDER",
        None,
        "Executor process: folder that backups are written to (default: in the agent's folder)",
    ),
    setting(
        Executor,
        "kubeconfig",
        "FILE",
        None,
        "Executor kubernetes: kubeconfig; without it the pod's own service account",
    ),
    setting(
        Executor,
        "namespaces",
        "NAMES",
        None,
        "Executor kubernetes: the teams' namespaces (comma-separated); without it the whole cluster",
    ),
    setting(
        Executor,
        "object-store-claim",
        "NAME",
        Some("tenantry-objects"),
        "PersistentVolumeClaim of each namespace that backups are written to",
    ),
    setting(
        Executor,
        "keep-succeeded",
        "DURATION",
        None,
        "How long objects of attempts that succeeded stay after their outcome is kept (default: not at all)",
    ),
    setting(
        Executor,
        "keep-failed",
        "DURATION",
        None,
        "How long those of failed ones stay (default: 1 h in a cluster, 24 h as processes)",
    ),
    setting(
        Executor,
        "image-pull-tolerance",
        "DURATION",
        None,
        "Executor kubernetes: how long an image may fail to be pulled before the attempt fails (default: 2 min)",
    ),
    setting(
        Executor,
        "unschedulable-tolerance",
        "DURATION",
        None,
        "Executor kubernetes: how long no node may take a Pod before the attempt fails (default: 10 min)",
    ),
    setting(
        Executor,
        "cannot-start-tolerance",
        "DURATION",
        None,
        "Executor kubernetes: how long a container may fail to start, for a missing Secret say, before the attempt fails (default: 1 min)",
    ),
    setting(
        Executor,
        "preparing-tolerance",
        "DURATION",
        None,
        "Executor kubernetes: how long a Pod's volumes may fail to come, or a Job's Pods to be made, before the attempt fails (default: 10 min)",
    ),
    setting(
        Executor,
        "allow",
        "NAMES",
        None,
        "Executor kubernetes: what templates may ask for although it is refused by default (docs/hook-contract.md lists the names; comma-separated)",
    ),
    setting(
        Executor,
        "tracking-labels",
        "NAMES",
        None,
        "Labels by which Argo CD tracks objects besides app.kubernetes.io/instance; they never reach a copy (comma-separated)",
    ),
];
