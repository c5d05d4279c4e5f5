//! Argo in a cluster, with what `deploy/argo` ships and nothing else; a client of its webhook; a manager that the cluster's
//! Pods reach.

use crate::{Answer, Cluster, Hook, Site, Team, World, eventually, repository};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::PathBuf, process::Command, sync::Arc};

/// The flags of `testbed up` that such a cluster needs.
pub const PARTS: &[&str] = &["--with", "argo-workflows,argo-events"];
/// The namespace of the Workflows, as shipped.
pub const ARGO: &str = "tenantry-argo";
/// The event source, as shipped.
const SOURCE: &str = "tenantry-operations";
/// Whoever may ask for operations has it.
pub const TOKEN: &str = "the-token-of-the-test";

/// What is installed.
pub struct Argo<'a> {
    /// The test's.
    pub world: &'a World,
    /// Where it is.
    pub cluster: Arc<Cluster>,
    /// Of the webhook.
    pub address: SocketAddr,
    webhook: String,
    program: PathBuf,
    namespace: String,
    /// Values of the chart, in each rendering.
    values: Vec<String>,
    /// How a manager's events travel.
    mode: &'static str,
}

impl<'a> Argo<'a> {
    /// Installs the shipped manifests; only the bus is the test bed's.
    pub fn install(world: &'a World) -> Result<Self> {
        let shipped = std::fs::read_to_string(repository().join("deploy/argo/manifests.yaml"))?;
        Self::with(world, world.cluster()?.clone(), ARGO, SOURCE, &shipped)
    }

    /// Installs the chart for a region: a Sensor that learns of it later takes a new place on the bus, behind what is there by
    /// then.
    pub fn install_for(world: &'a World, region: &str) -> Result<Self> {
        Self::install_with(world, region, &[])
    }

    /// The same with further values of the chart.
    pub fn install_with(world: &'a World, region: &str, values: &[&str]) -> Result<Self> {
        Self::install_at(world, world.cluster()?.clone(), region, values)
    }

    /// The same in a further cluster of the test.
    pub fn install_in(world: &'a World, cluster: Arc<Cluster>, region: &str) -> Result<Self> {
        Self::install_at(world, cluster, region, &[])
    }

    fn install_at(world: &'a World, cluster: Arc<Cluster>, region: &str, values: &[&str]) -> Result<Self> {
        let mut all = vec![format!("region={region}")];
        all.extend(values.iter().map(ToString::to_string));
        let argo = Self::with(world, cluster, ARGO, SOURCE, &rendered(&all)?)?;
        Ok(Self { values: all, ..argo })
    }

    /// A manager's events are binary ones.
    #[must_use]
    pub fn binary(self) -> Self {
        Self { mode: "binary", ..self }
    }

    /// Installs the chart beside others in the cluster, with these values; it is removed after the test.
    pub fn install_beside(world: &'a World, values: &[String]) -> Result<Self> {
        let (namespace, source) = (format!("argo-{}", world.tag), format!("operations-{}", world.tag));
        world.owns(&namespace);
        let mut all = vec![
            format!("namespace={namespace}"),
            // On one bus they are told apart by the event source's name.
            format!("webhook.name={source}"),
            "webhook.replicas=1".to_owned(),
        ];
        all.extend(values.iter().cloned());
        let argo = Self::with(world, world.cluster()?.clone(), &namespace, &source, &rendered(&all)?)?;
        Ok(Self { values: all, ..argo })
    }

    fn with(
        world: &'a World,
        cluster: Arc<Cluster>,
        namespace: &str,
        source: &str,
        manifests: &str,
    ) -> Result<Self> {
        let image = repository().join("target/bridge-image/tenantry-bridge.tar");
        ensure!(image.is_file(), "no image of the bridge: run deploy/bridge/build-image.sh");
        cluster.testbed(&["load-image"], &[&image.display().to_string()])?;
        let others: Vec<&str> =
            manifests.split("\n---\n").filter(|one| !one.contains("kind: EventBus")).collect();
        cluster.kubectl_with(&["apply", "-f", "-"], &others.join("\n---\n"))?;
        cluster.apply(&[
            json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "EventBus",
                "metadata": {"name": "tenantry", "namespace": namespace},
                "spec": {"jetstreamExotic": {
                    "url": cluster.part("nats")?["url"],
                    "streamConfig": "maxAge: 72h\nmaxMsgs: 100000\nmaxBytes: -1\nreplicas: 1\nduplicates: 300s\nretention: 0\ndiscard: 1\n"
                }}
            }),
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tenantry-events", "namespace": namespace},
                "stringData": {"token": TOKEN}
            }),
        ])?;
        cluster.testbed(&["events-ready"], &[namespace])?;
        let service = cluster.get(&["service", "-n", namespace, &format!("{source}-eventsource-svc")])?;
        let address = service["spec"]["clusterIP"].as_str().context("an address of the webhook")?;
        let address = SocketAddr::new(address.parse()?, 12000);
        Ok(Self {
            world,
            address,
            webhook: webhook_at(address),
            program: cluster.part("argo-workflows")?["argo"].as_str().context("argo's command line")?.into(),
            namespace: namespace.to_owned(),
            values: Vec::new(),
            mode: "structured",
            cluster,
        })
    }

    /// The namespace of its Workflows.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Installs the shipped chart over it, with these values too.
    pub fn chart(&self, values: &[&str]) -> Result<()> {
        let mut all = self.values.clone();
        all.extend(values.iter().map(ToString::to_string));
        self.cluster.kubectl_with(&["apply", "-f", "-"], &rendered(&all)?)?;
        self.cluster.testbed(&["events-ready"], &[&self.namespace]).map(drop)
    }

    /// A manager that has it as a region, whose events go to this URL; and tells the Workflows about it, as the chart does.
    pub fn manager(
        &self,
        region: &str,
        webhook: &str,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Site> {
        let (world, cluster) = (self.world, &self.cluster);
        let file = |name: &str, text: &str| {
            let path = world.folder().join(name);
            std::fs::write(&path, text).map(|()| path)
        };
        let issuer = cluster.kubectl(&["get", "--raw", "/.well-known/openid-configuration"])?;
        let issuer: Value = serde_json::from_str(&issuer)?;
        let keys = file("keys.json", &cluster.kubectl(&["get", "--raw", "/openid/v1/jwks"])?)?;
        let document = json!({"regions": {region: {
            "events": {"url": webhook, "tokenFile": file("token", TOKEN)?, "mode": self.mode},
            "identity": {
                "issuer": issuer["issuer"], "keysFile": keys,
                "serviceAccount": format!("{}/tenantry-bridge", self.namespace())
            }
        }}});
        let document = file("regions.json", &document.to_string())?.display().to_string();
        let all = [&["--argo-regions", &document], flags].concat();
        let site = Site::start_for_pods(world, cluster, &all, variables)?;
        self.attach(&site, region, &[])?;
        Ok(site)
    }

    /// Tells the Workflows of a region about their manager, with further values of the chart.
    pub fn attach(&self, site: &Site, region: &str, values: &[&str]) -> Result<()> {
        let authority = std::fs::read_to_string(site.authority().context("a manager with TLS")?)?;
        self.cluster.apply(&[json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "tenantry-manager", "namespace": self.namespace()},
            "stringData": {"ca.crt": authority}
        })])?;
        let manager = [
            &format!("region={region}"),
            &format!("manager.url={}", site.url()),
            "manager.caSecret=tenantry-manager",
        ];
        self.chart(&[&manager.map(|value| value as &str), values].concat())
    }

    /// Where events go.
    #[must_use]
    pub fn webhook(&self) -> &str {
        &self.webhook
    }

    /// A team that has let the bridges in, by the shipped script.
    pub fn team(&self, name: &str) -> Result<Team> {
        let (world, cluster) = (self.world, &self.cluster);
        let team = if Arc::ptr_eq(world.cluster()?, cluster) {
            world.team(name)?
        } else {
            let namespace = format!("{name}-{}", world.tag);
            Team::create(cluster, &namespace, &world.folder().join("witness"))?
        };
        self.let_in(&team.namespace)?;
        Ok(team)
    }

    /// A namespace's consent, by the shipped script.
    pub fn let_in(&self, namespace: &str) -> Result<()> {
        let bin = self.world.folder().join("bin");
        std::fs::create_dir_all(&bin)?;
        // The script calls whatever kubectl is on the path.
        self.cluster.kubectl_program(&bin.join("kubectl"))?;
        let mut script = Command::new(repository().join("deploy/argo/let-in.sh"));
        let path =
            std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&std::env::var("PATH")?)))?;
        Answer::of(script.args([namespace, &self.namespace]).env("PATH", path))?.expect(0).map(drop)
    }

    /// Applies these hooks.
    pub fn apply(&self, hooks: &[&Hook]) -> Result<()> {
        self.cluster.apply(&hooks.iter().map(|hook| hook.manifest()).collect::<Vec<_>>())
    }

    /// Sends a request to the webhook; answers the status.
    pub fn post(&self, token: &str, headers: &[&str], body: &str) -> Result<u16> {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "60",
            "--output",
            "/dev/null",
        ]);
        curl.args(["--write-out", "%{http_code}", "--header", &format!("Authorization: Bearer {token}")]);
        for header in headers {
            curl.args(["--header", header]);
        }
        let file = self.world.folder().join("body");
        std::fs::write(&file, body)?;
        let answer =
            Answer::of(curl.arg("--data-binary").arg(format!("@{}", file.display())).arg(&self.webhook))?;
        Ok(answer.expect(0)?.out.parse()?)
    }

    /// Sends a structured CloudEvent.
    pub fn send(&self, event: &Value) -> Result<u16> {
        self.post(TOKEN, &["Content-Type: application/cloudevents+json"], &event.to_string())
    }

    /// Sends the same as a binary one.
    pub fn send_binary(&self, event: &Value) -> Result<u16> {
        let header = |name: &str| format!("ce-{name}: {}", event[name].as_str().unwrap_or_default());
        let headers = ["specversion", "id", "source", "type", "subject"].map(header);
        let mut all: Vec<&str> = headers.iter().map(String::as_str).collect();
        all.push("Content-Type: application/json");
        self.post(TOKEN, &all, &event["data"].to_string())
    }

    /// Sends a request with the right token.
    pub fn post_with_token(&self, headers: &[&str], body: &str) -> Result<u16> {
        self.post(TOKEN, headers, body)
    }

    /// A Workflow.
    pub fn workflow(&self, name: &str) -> Result<Value> {
        self.cluster.get(&["workflow", "-n", &self.namespace, name])
    }

    /// Waits for the end of a Workflow; answers it.
    pub fn ended(&self, name: &str) -> Result<Value> {
        eventually(format!("the end of the Workflow {name}"), || {
            let Ok(workflow) = self.workflow(name) else { return Ok(None) };
            let phase = workflow["status"]["phase"].as_str().unwrap_or_default().to_owned();
            Ok(["Succeeded", "Failed", "Error"].contains(&phase.as_str()).then_some(workflow))
        })
        .with_context(|| self.seen(name))
    }

    /// Waits for the end of a Workflow, which must be a good one; answers it.
    pub fn succeeded(&self, name: &str) -> Result<Value> {
        let workflow = self.ended(name)?;
        let status = &workflow["status"];
        if status["phase"] == "Succeeded" {
            return Ok(workflow);
        }
        // The ends of its Pods first: the whole of it has a page for each.
        let nodes = status["nodes"].as_object().into_iter().flatten().map(|(_, node)| node);
        let pods: Vec<String> = nodes
            .filter(|node| node["type"] == "Pod")
            .map(|node| {
                let of = |field: &str| node[field].as_str().unwrap_or_default().to_owned();
                let (code, reason) =
                    (&node["outputs"]["exitCode"], &node["outputs"]["parameters"][0]["value"]);
                format!("{} {} {code} {reason}: {}", of("templateName"), of("phase"), of("message"))
            })
            .collect();
        let logs = self.argo(&["logs", name, "--no-color"]).unwrap_or_else(|error| format!("{error:#}"));
        anyhow::bail!("{name} is {}: {pods:?}\n{logs}\n{status}", status["phase"])
    }

    /// What a person would look at first when a Workflow does not end, or does not begin.
    fn seen(&self, name: &str) -> String {
        let sensor = ["logs", "-n", &self.namespace, "-l", "sensor-name", "--tail=5"];
        let looked = self.cluster.kubectl(&sensor);
        let workflow = self.argo(&["get", name]);
        let said = |words: Result<String>| words.unwrap_or_else(|error| format!("{error:#}"));
        format!("{}\nthe sensor:\n{}", said(workflow), said(looked))
    }

    /// All Workflows, by name.
    pub fn workflows(&self) -> Result<Vec<String>> {
        let list = self.cluster.get(&["workflows", "-n", &self.namespace])?;
        let mut names: Vec<String> = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|workflow| workflow["metadata"]["name"].as_str().map(str::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }

    /// What became no Workflow.
    pub fn dead_letters(&self) -> Result<Vec<String>> {
        let list =
            self.cluster.get(&["configmaps", "-n", &self.namespace, "-l", "tenantry.io/dead-letter"])?;
        let items = list["items"].as_array().context("a list")?;
        Ok(items.iter().filter_map(|item| item["data"]["body"].as_str().map(str::to_owned)).collect())
    }

    /// `argo …`, as a user looks at a Workflow.
    pub fn argo(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.cluster.kubeconfig).args(["-n", &self.namespace]).args(args);
        Ok(Answer::of(&mut command)?.expect(0)?.out)
    }
}

/// What `helm template` makes of the shipped chart; the bus is the test bed's.
fn rendered(values: &[String]) -> Result<String> {
    let mut render = Command::new(repository().join("testbed/bin/helm/helm"));
    render.args(["template", "tenantry-argo"]).arg(repository().join("deploy/argo/chart"));
    for value in ["bus.create=false"].into_iter().chain(values.iter().map(String::as_str)) {
        render.args(["--set", value]);
    }
    Ok(Answer::of(&mut render)?.expect(0)?.out)
}

/// Where events go, at the webhook's own address or on a way to it.
#[must_use]
pub fn webhook_at(address: SocketAddr) -> String {
    format!("http://{address}/operations")
}

/// A Workflow of a shipped template that nobody but its maker asked for, with these parameters.
#[must_use]
pub fn made_by_hand(name: &str, template: &str, parameters: &[(&str, &str)]) -> Value {
    let parameters: Vec<Value> =
        parameters.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
        "metadata": {"name": name, "namespace": ARGO},
        "spec": {"workflowTemplateRef": {"name": template}, "arguments": {"parameters": parameters}}
    })
}

/// As the Sensor gives the environment to a Workflow.
#[must_use]
pub fn base64(value: &Value) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(value.to_string())
}

/// What a portal sends: an operation of an environment.
#[must_use]
pub fn requested(operation: &str, id: &str, labels: &Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/portal", "type": "io.tenantry.operation.requested.v1",
        "subject": "acme/prod", "datacontenttype": "application/json",
        "data": {
            "operation": operation, "operationId": id,
            "environment": {
                "apiVersion": "tenantry.io/v1", "kind": "TenantEnvironment",
                "metadata": {
                    "id": "0192f0c8-0000-7000-8000-000000000001", "name": "prod", "tenant": "acme", "region": "eu1",
                    "labels": labels, "generation": 3
                },
                "spec": {"settings": {"locale": "no", "greeting": "{{workflow.name}} {{=1+1}} ünï \"quoted\""}}
            }
        }
    })
}

/// The nodes of a Workflow that ran a bridge: job, phase, exit code, output `reason`.
#[must_use]
pub fn bridges(workflow: &Value) -> Vec<(String, String, String, String)> {
    let nodes = workflow["status"]["nodes"].as_object().into_iter().flatten().map(|(_, node)| node);
    let of = |list: &Value, name: &str| {
        let list = list.as_array().into_iter().flatten();
        let value =
            list.filter(|one| one["name"] == name).find_map(|one| one["value"].as_str().map(str::to_owned));
        value.unwrap_or_default()
    };
    let mut found: Vec<_> = nodes
        .filter(|node| node["type"] == "Pod" && node["templateName"] == "bridge")
        .map(|node| {
            (
                of(&node["inputs"]["parameters"], "job"),
                node["phase"].as_str().unwrap_or_default().to_owned(),
                node["outputs"]["exitCode"].as_str().unwrap_or_default().to_owned(),
                of(&node["outputs"]["parameters"], "reason"),
            )
        })
        .collect();
    found.sort();
    found
}
