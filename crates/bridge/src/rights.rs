//! A right that is missing: which, to whom, and the command that grants it, from the API server's own words.
//!
//! It must never guess: words that it does not know are passed on as they are.

use std::fmt;

/// One missing right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Who lacks it, as the API server names them.
    pub user: String,
    /// `create`, `get`, …
    pub verb: String,
    /// The resource as `kubectl create role --resource` takes it: `pods`, `jobs.batch`, `pods/log`.
    pub resource: String,
    /// Where; `None`: in the whole cluster.
    pub namespace: Option<String>,
}

impl Missing {
    /// Reads `… is forbidden: User "U" cannot VERB resource "R" in API group "G" in the namespace "N"`.
    #[must_use]
    pub fn read(message: &str) -> Option<Self> {
        let rest = message.split_once("User \"")?.1;
        let (user, rest) = rest.split_once('"')?;
        let rest = rest.strip_prefix(" cannot ")?;
        let (verb, rest) = rest.split_once(" resource \"")?;
        let (resource, rest) = rest.split_once('"')?;
        let (group, rest) = rest.strip_prefix(" in API group \"")?.split_once('"')?;
        let namespace = match rest.strip_prefix(" in the namespace \"") {
            Some(rest) => Some(rest.split_once('"')?.0.to_owned()),
            None if rest.starts_with(" at the cluster scope") => None,
            None => return None,
        };
        let resource = match (group, resource.split_once('/')) {
            ("", _) => resource.to_owned(),
            (group, Some((resource, part))) => format!("{resource}.{group}/{part}"),
            (group, None) => format!("{resource}.{group}"),
        };
        Some(Self { user: user.to_owned(), verb: verb.to_owned(), resource, namespace })
    }

    /// The command that grants exactly this.
    #[must_use]
    pub fn command(&self) -> String {
        let Self { user, verb, resource, namespace } = self;
        let name = format!("tenantry-bridge-{verb}-{}", resource.replace(['/', '.'], "-"));
        let to = match user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
            Some((namespace, name)) => format!("--serviceaccount={namespace}:{name}"),
            None => format!("--user='{user}'"),
        };
        match namespace {
            Some(namespace) => format!(
                "kubectl -n {namespace} create role {name} --verb={verb} --resource={resource} && \
                 kubectl -n {namespace} create rolebinding {name} --role={name} {to}"
            ),
            None => format!(
                "kubectl create clusterrole {name} --verb={verb} --resource={resource} && \
                 kubectl create clusterrolebinding {name} --clusterrole={name} {to}"
            ),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, verb, resource, namespace } = self;
        write!(f, "a right is missing: {user} may not {verb} {resource} ")?;
        match namespace {
            Some(namespace) => write!(f, "in namespace {namespace}"),
            None => f.write_str("in the whole cluster"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_servers_words_become_a_command() {
        let missing = Missing::read(
            "cannot create Pod crm/x: pods is forbidden: User \"system:serviceaccount:argo:bridge\" cannot create \
             resource \"pods\" in API group \"\" in the namespace \"crm\"",
        )
        .unwrap();
        assert_eq!(
            missing.to_string(),
            "a right is missing: system:serviceaccount:argo:bridge may not create pods in namespace crm"
        );
        assert_eq!(
            missing.command(),
            "kubectl -n crm create role tenantry-bridge-create-pods --verb=create --resource=pods && kubectl -n crm \
             create rolebinding tenantry-bridge-create-pods --role=tenantry-bridge-create-pods \
             --serviceaccount=argo:bridge"
        );
    }

    #[test]
    fn groups_parts_and_the_whole_cluster_are_named_as_kubectl_takes_them() {
        let read = |resource: &str, group: &str, scope: &str| {
            Missing::read(&format!(
                "x is forbidden: User \"jo\" cannot list resource \"{resource}\" in API group \"{group}\" {scope}"
            ))
        };
        let jobs = read("jobs", "batch", "at the cluster scope").unwrap();
        assert_eq!((jobs.resource.as_str(), &jobs.namespace), ("jobs.batch", &None));
        assert!(
            jobs.command().contains("create clusterrolebinding") && jobs.command().contains("--user='jo'")
        );
        assert_eq!(read("pods/log", "", "in the namespace \"a\"").unwrap().resource, "pods/log");
        assert_eq!(read("pods", "", "somewhere"), None);
        assert_eq!(Missing::read("pods \"x\" is forbidden: exceeded quota"), None);
    }
}
