//! Argo CD in a cluster of the test's own, set up with what `examples/gitops` ships and nothing else, and the Git
//! repository that it reads.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use tenantry_e2e::{Answer, Cluster, Hook, Witness, World, eventually, repository};

/// Its namespace.
const ARGO_CD: &str = "argocd";
/// Where the example's files say that the repository is.
const URL: &str = "https://git.example/platform/hooks.git";
/// What makes Argo CD replace a Job.
const REPLACED: (&str, &str) = ("argocd.argoproj.io/sync-options", "Force=true,Replace=true");
/// The teams of the example; each has an Application `hooks-TEAM`.
pub const TEAMS: [&str; 2] = ["crm", "identity"];

/// What is installed.
pub struct GitOps<'a> {
    world: &'a World,
    /// What a team works in.
    pub clone: PathBuf,
    bare: PathBuf,
    program: PathBuf,
    server: String,
}

fn example() -> PathBuf {
    repository().join("examples/gitops")
}

impl<'a> GitOps<'a> {
    /// Argo CD with the example's settings, and a repository with the example's hooks.
    pub fn install(world: &'a World) -> Result<Self> {
        let cluster = world.cluster()?;
        let mut add = vec!["argo-cd".to_owned()];
        for variable in controller_settings()? {
            add.extend(["--env".to_owned(), format!("argocd-application-controller={variable}")]);
        }
        cluster.testbed(&["add"], &add.iter().map(String::as_str).collect::<Vec<_>>())?;
        let part = cluster.part("argo-cd")?;
        let value = |name: &str| part[name].as_str().map(str::to_owned).context(name.to_owned());
        let place = Self {
            world,
            clone: world.folder().join("clone"),
            bare: world.folder().join("hooks.git"),
            program: value("argocd")?.into(),
            server: value("server")?,
        };
        place.argocd(&[
            "login",
            &place.server,
            "--username",
            &value("user")?,
            "--password",
            &value("password")?,
        ])?;
        git(&["init", "--quiet", "--bare", "--initial-branch=main", &place.bare.display().to_string()])?;
        git(&["clone", "--quiet", &place.bare.display().to_string(), &place.clone.display().to_string()])?;
        for team in TEAMS {
            let folder = place.clone.join(team);
            std::fs::create_dir_all(&folder)?;
            for file in std::fs::read_dir(example().join("hooks").join(team))? {
                let file = file?;
                std::fs::copy(file.path(), folder.join(file.file_name()))?;
            }
            // The team's consent, as the README says.
            std::fs::copy(repository().join("deploy/agent/team.yaml"), folder.join("tenantry.yaml"))?;
        }
        Ok(place)
    }

    /// Puts a hook of the test into the repository that runs, as a Job, until [`Self::open`]; and the claim it writes to.
    pub fn add_gate(&self) -> Result<()> {
        self.world.owns("crm");
        self.world.volume("crm", "witness", "e2e-witness")?;
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "witness", "namespace": "crm"},
            "spec": {
                "storageClassName": "e2e-witness", "accessModes": ["ReadWriteMany"],
                "resources": {"requests": {"storage": "1Gi"}}
            }
        });
        let gate = Hook::new("crm", "gate")
            .tenant("attempt-kind", "job")
            .annotation(REPLACED.0, REPLACED.1)
            .gated_witness("0");
        let file = format!("{claim}\n---\n{}\n", gate.manifest());
        std::fs::write(self.clone.join("crm/gate.yaml"), file)?;
        Ok(())
    }

    /// What the gate wrote.
    pub fn witness(&self) -> Witness {
        Witness(self.world.folder().join("volumes/crm/witness/records"))
    }

    /// Lets the gate end.
    pub fn open(&self) -> Result<()> {
        Ok(std::fs::write(self.world.folder().join("volumes/crm/witness/go-gate"), "")?)
    }

    /// A file of the repository, changed as a team would.
    pub fn edit(&self, file: &str, from: &str, to: &str) -> Result<()> {
        let path = self.clone.join(file);
        let text = std::fs::read_to_string(&path)?;
        ensure!(text.matches(from).count() == 1, "{file} has {from:?} not once");
        Ok(std::fs::write(&path, text.replace(from, to))?)
    }

    /// Commits and pushes what is in the clone, and has Argo CD look; answers the revision.
    pub fn commit(&self, message: &str) -> Result<String> {
        let clone = self.clone.display().to_string();
        let inside = |args: &[&str]| git(&[&["-C", &clone], args].concat());
        inside(&["checkout", "--quiet", "-B", "main"])?;
        inside(&["add", "--all"])?;
        inside(&["commit", "--quiet", "--message", message])?;
        inside(&["push", "--quiet", "origin", "main"])?;
        self.refresh()?;
        Ok(inside(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    fn refresh(&self) -> Result<()> {
        let all = ["annotate", "applications", "--all", "-n", ARGO_CD, "--overwrite"];
        let now = ["argocd.argoproj.io/refresh=normal"];
        self.cluster()?.kubectl(&[&all[..], &now].concat()).map(drop)
    }

    /// Applies project and Applications; of the files only the repository's address is changed.
    pub fn begin(&self) -> Result<()> {
        for file in ["project.yaml", "applications.yaml"] {
            let text = std::fs::read_to_string(example().join("argocd").join(file))?;
            ensure!(text.contains(URL), "{file} names no {URL}");
            let text = text.replace(URL, &format!("file://{}", self.bare.display()));
            self.cluster()?.kubectl_with(&["apply", "-f", "-"], &text)?;
        }
        Ok(())
    }

    /// Applies the example's health of Jobs, as the file says.
    pub fn set_health(&self) -> Result<()> {
        let file = example().join("argocd/health.yaml").display().to_string();
        let apply = ["apply", "--server-side", "--field-manager=tenantry", "-f", &file];
        self.cluster()?.kubectl(&apply).map(drop)
    }

    /// Waits until both Applications are synced to the revision, at rest, and have this health.
    pub fn wait(&self, revision: &str, health: &str) -> Result<()> {
        self.wait_for(&TEAMS, revision, health)
    }

    /// The same for some teams' Applications.
    pub fn wait_for(&self, teams: &[&str], revision: &str, health: &str) -> Result<()> {
        let mut seen = Vec::new();
        eventually(format!("the Applications to be synced to {revision} and {health}"), || {
            seen.clear();
            let mut all = true;
            for team in teams {
                let application = self.application(team)?;
                let status = &application["status"];
                all &= status["sync"]["status"] == "Synced"
                    && status["sync"]["revision"] == revision
                    && status["operationState"]["phase"] == "Succeeded"
                    && application["operation"].is_null()
                    && status["health"]["status"] == health;
                seen.push(json!([
                    status["sync"],
                    status["health"],
                    status["conditions"],
                    status["operationState"]
                ]));
            }
            if !all && health == "Healthy" {
                // Of new settings it is told a moment after us.
                self.refresh()?;
            }
            Ok(all.then_some(()))
        })
        .with_context(|| format!("the Applications: {seen:#?}"))
    }

    /// A team's Application.
    pub fn application(&self, team: &str) -> Result<Value> {
        self.cluster()?.get(&["application", "-n", ARGO_CD, &format!("hooks-{team}")])
    }

    /// `argocd …`, as a user sees it.
    pub fn argocd(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(self.world.folder().join("argocd-cli"));
        command.args(["--plaintext", "--server", &self.server]).args(args);
        Ok(Answer::of(&mut command)?.expect(0)?.out)
    }

    /// What the shipped script says of a Job.
    pub fn judged(&self, job: &Value) -> Result<String> {
        let file = self.world.folder().join("job.json");
        std::fs::write(&file, job.to_string())?;
        let (file, settings) = (file.display().to_string(), example().join("argocd/health.yaml"));
        let settings = settings.display().to_string();
        let args =
            ["admin", "settings", "resource-overrides", "health", &file, "--argocd-cm-path", &settings];
        let said = self.argocd(&args)?;
        let status = said.lines().find_map(|line| line.strip_prefix("STATUS: "));
        Ok(status.with_context(|| format!("no status in {said}"))?.trim().to_owned())
    }

    fn cluster(&self) -> Result<&Cluster> {
        Ok(self.world.cluster()?)
    }
}

/// The example's settings of the controller, as upstream's manifests hand them to it.
fn controller_settings() -> Result<Vec<String>> {
    let settings: Value = read_yaml(&example().join("argocd/self-heal.yaml"))?;
    let data = settings["data"].as_object().context("settings")?;
    data.iter()
        .map(|(name, value)| {
            let name = name.strip_prefix("controller.").context("a setting of another component")?;
            let name = name.replace('.', "_").to_uppercase();
            Ok(format!("ARGOCD_APPLICATION_CONTROLLER_{name}={}", value.as_str().context("a text")?))
        })
        .collect()
}

fn read_yaml(file: &Path) -> Result<Value> {
    Ok(serde_saphyr::from_str(&std::fs::read_to_string(file)?)?)
}

/// Git with none of this machine's settings.
fn git(args: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command.args(["-c", "user.name=team", "-c", "user.email=team@crm.example"]).args(args);
    Ok(Answer::of(&mut command)?.expect(0)?.out)
}
