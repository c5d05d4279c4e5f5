//! Certificates for a server that speaks TLS, made by the installed `openssl`.

use anyhow::{Context, Result, bail};
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

const CURVE: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];

/// Somebody who issues certificates; its files go with it.
#[derive(Debug)]
pub struct Authority {
    folder: tempfile::TempDir,
}

/// A new one; `None` where there is no `openssl`.
pub fn authority(name: &str) -> Result<Option<Authority>> {
    if Command::new("openssl").arg("version").output().is_err() {
        return Ok(None);
    }
    let folder = tempfile::tempdir()?;
    let subject = format!("/CN={name}");
    let mut arguments = vec!["req", "-x509", "-nodes", "-days", "2", "-subj", &subject];
    arguments.extend(CURVE);
    arguments.extend(["-keyout", "ca.key", "-out", "ca.pem"]);
    openssl(folder.path(), &arguments)?;
    Ok(Some(Authority { folder }))
}

impl Authority {
    /// The root certificate.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Puts `server.crt` and `server.key` for these names into a server's folder.
    ///
    /// # Errors
    /// If `openssl` fails or the folder cannot be written.
    pub fn issue(&self, to: &Path, names: &[&str]) -> Result<()> {
        let here = self.folder.path();
        let kind = |name: &&str| {
            let kind = if name.parse::<std::net::IpAddr>().is_ok() { "IP" } else { "DNS" };
            format!("{kind}:{name}")
        };
        let names: Vec<String> = names.iter().map(kind).collect();
        fs::write(here.join("names"), format!("subjectAltName={}\n", names.join(",")))?;
        let mut request = vec!["req", "-nodes", "-subj", "/CN=server"];
        request.extend(CURVE);
        request.extend(["-keyout", "server.key", "-out", "server.csr"]);
        openssl(here, &request)?;
        openssl(
            here,
            &[
                "x509",
                "-req",
                "-in",
                "server.csr",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-days",
                "2",
                "-extfile",
                "names",
                "-out",
                "server.crt",
            ],
        )?;
        let owner = fs::metadata(to)?.uid();
        for name in ["server.crt", "server.key"] {
            let path = to.join(name);
            fs::copy(here.join(name), &path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            chown(&path, Some(owner), None).context("give a file to the server's user")?;
        }
        Ok(())
    }
}

fn openssl(folder: &Path, arguments: &[&str]) -> Result<()> {
    let output =
        Command::new("openssl").args(arguments).current_dir(folder).output().context("start openssl")?;
    if !output.status.success() {
        bail!("openssl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
