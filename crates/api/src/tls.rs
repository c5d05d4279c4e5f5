//! Certificate and key from files, read again when they change; a bad new pair leaves the good one in force.

use crate::serve::TlsFiles;
use axum_server::tls_rustls::RustlsConfig;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Reads the files for the first time.
pub(crate) async fn load(files: &TlsFiles) -> Result<RustlsConfig, String> {
    Ok(RustlsConfig::from_config(Arc::new(read(files).await?.0)))
}

/// Looks at the files until the server stops. By content, not by time: secret volumes swap symbolic links.
pub(crate) async fn watch(
    files: TlsFiles,
    config: RustlsConfig,
    every: Duration,
    stopping: CancellationToken,
) {
    let mut known = read(&files).await.ok().map(|(_, content)| content);
    let mut complained = false;
    while stopping.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        match read(&files).await {
            Ok((_, content)) if known.as_deref() == Some(content.as_str()) => complained = false,
            Ok((fresh, content)) => {
                config.reload_from_config(Arc::new(fresh));
                known = Some(content);
                complained = false;
                tracing::info!(certificate = %files.certificate.display(), "a new certificate is in force");
            }
            Err(why) if !complained => {
                complained = true;
                tracing::error!(why, "the TLS files cannot be used; the earlier certificate stays in force");
            }
            Err(_) => {}
        }
    }
}

/// The configuration, and a hash of what it was made from.
async fn read(files: &TlsFiles) -> Result<(ServerConfig, String), String> {
    let certificate = content(&files.certificate).await?;
    let key = content(&files.key).await?;
    let chain = CertificateDer::pem_slice_iter(&certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| format!("{} is no PEM of certificates: {why}", files.certificate.display()))?;
    if chain.is_empty() {
        return Err(format!("{} holds no certificate", files.certificate.display()));
    }
    let private = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|why| format!("{} holds no private key in PEM: {why}", files.key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| why.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|why| {
            format!("{} and {} do not go together: {why}", files.certificate.display(), files.key.display())
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, crate::body::hash(&[&certificate, &key])))
}

async fn content(file: &Path) -> Result<Vec<u8>, String> {
    tokio::fs::read(file).await.map_err(|why| format!("{} cannot be read: {why}", file.display()))
}
