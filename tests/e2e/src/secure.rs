//! A manager that is reached from outside of this machine's loopback, as Pods of a cluster reach it: with TLS.

use crate::cli::Answer;
use crate::managers::ManagerLife;
use crate::site::Site;
use crate::{Cluster, World};
use anyhow::Result;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

impl Site {
    /// Starts a manager on an address of this machine that the cluster's Pods reach.
    pub fn start_for_pods(
        world: &World,
        cluster: &Cluster,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let folder = world.folder().join("site");
        std::fs::create_dir_all(&folder)?;
        let (certificate, key) = certificate(&folder, cluster.host)?;
        let (cert, private) = (certificate.display().to_string(), key.display().to_string());
        let all = [flags, &["--tls-cert", &cert, "--tls-key", &private]].concat();
        let life = ManagerLife::listening(&folder, cluster.host, &all)?;
        Self::begin(folder, vec![life], None, variables, Some(certificate))
    }

    /// The authority of the manager's certificate, if it has one.
    #[must_use]
    pub fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }
}

/// A certificate for an address that is its own authority.
fn certificate(folder: &Path, address: IpAddr) -> Result<(PathBuf, PathBuf)> {
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    openssl.args(["-days", "2", "-subj", "/CN=tenantry"]);
    openssl.args(["-addext", &format!("subjectAltName=IP:{address}")]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    Answer::of(openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate))?.expect(0)?;
    Ok((certificate, key))
}
