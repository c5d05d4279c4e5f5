//! Why a document cannot be used, and why a token is refused: what is wrong, and what to do.

use jiff::Timestamp;
use std::{io, path::PathBuf, sync::Arc};
use tenantry_model::RegionName;

/// Why the document of regions, or a file that it names, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The operating system refuses, or it is no text.
    #[error("cannot read {}: correct the path, or its owner and mode", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Above [`MAX_FILE_BYTES`](crate::MAX_FILE_BYTES).
    #[error("{} is longer than 1 MiB: is it the right file?", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
    /// It is no such document.
    #[error("{}: {message}; correct it there and start again", path.display())]
    Document {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// The document is empty.
    #[error("{} names no region: write one under `regions`, or leave out the setting", path.display())]
    NoRegion {
        /// Which file.
        path: PathBuf,
    },
    /// It is no set of keys.
    #[error(
        "{} is no JWKS ({place}): write to it what `kubectl get --raw /openid/v1/jwks` prints",
        path.display()
    )]
    Keys {
        /// Which file.
        path: PathBuf,
        /// Where it stops being one.
        place: String,
    },
    /// A set without a key for RS256 or ES256.
    #[error(
        "{} has no key for RS256 or ES256 with an id: write to it what `kubectl get --raw /openid/v1/jwks` prints",
        path.display()
    )]
    NoKey {
        /// Which file.
        path: PathBuf,
    },
    /// Two regions of one cluster whose bridges nobody can tell apart.
    #[error(
        "regions {one} and {other} have key {key:?} in common, and the same issuer, audience and service account: a bridge of one could speak for the other; give each an `identity.audience` or `identity.serviceAccount` of its own"
    )]
    Indistinguishable {
        /// One.
        one: RegionName,
        /// The other.
        other: RegionName,
        /// The id of the key.
        key: String,
    },
    /// A region's keys cannot be read.
    #[error("region {region}: its `identity.keysFile` cannot be used")]
    Region {
        /// Which.
        region: RegionName,
        /// Why.
        #[source]
        source: Box<ConfigError>,
    },
}

/// Why a token is refused. `Display` is for whoever runs the bridge: it holds no part of the token but what it claims, cut
/// to 100 characters, and no path of the manager's machine.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IdentityError {
    /// The document does not name this region.
    #[error(
        "{region} is no region of Argo at this manager: correct the bridge's region, or add it to the regions of Argo and start the manager again"
    )]
    UnknownRegion {
        /// Which.
        region: RegionName,
    },
    /// Above [`MAX_TOKEN_BYTES`](crate::MAX_TOKEN_BYTES).
    #[error("the token is longer than 16 KiB: send what the file of the projected volume holds")]
    TooLong,
    /// It is no service account token.
    #[error("the token cannot be read ({what}): send what the file of the projected volume holds")]
    Unreadable {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Signed in another way, or not at all.
    #[error(
        "the token says that it is signed with {found:?}: only RS256 and ES256 are taken; send a projected service account token of the region's cluster"
    )]
    Algorithm {
        /// What it says.
        found: String,
    },
    /// The region has no key with its id.
    #[error(
        "the token is signed with the {algorithm} key {key:?}, which region {region} does not have: it is from another cluster, or the cluster has a new key; then write `kubectl get --raw /openid/v1/jwks` to the region's keys file"
    )]
    UnknownKey {
        /// The region that was asked for.
        region: RegionName,
        /// The id.
        key: String,
        /// Of the token.
        algorithm: &'static str,
    },
    /// The key is known and did not make the signature.
    #[error(
        "the token's signature is not of key {key:?} of region {region}: it was changed, or is from another cluster; send what the file of the projected volume holds"
    )]
    Signature {
        /// The region that was asked for.
        region: RegionName,
        /// The id.
        key: String,
    },
    /// Of another issuer.
    #[error(
        "the token is issued by {found:?}, tokens of region {region} are by {wanted:?}: correct `identity.issuer` of the region (`kubectl get --raw /.well-known/openid-configuration` says it)"
    )]
    Issuer {
        /// The region that was asked for.
        region: RegionName,
        /// By whom.
        found: String,
        /// By whom it should be.
        wanted: String,
    },
    /// For somebody else.
    #[error(
        "the token is for {found}, not for {wanted:?}: set `audience: {wanted}` at the projected volume of the bridge"
    )]
    Audience {
        /// For whom, in words.
        found: String,
        /// For whom it should be.
        wanted: String,
    },
    /// Its time is over.
    #[error(
        "the token expired at {at}: read its file again before each call, the kubelet renews it; or set this machine's clock right"
    )]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Its time has not begun.
    #[error("the token is good from {from} on: set the clocks of the cluster and of this machine right")]
    NotYet {
        /// When it begins.
        from: Timestamp,
    },
    /// Of another service account.
    #[error(
        "the token is of {found:?}, bridges of region {region} are {wanted:?}: correct the Workflow's service account, or `identity.serviceAccount` of the region"
    )]
    ServiceAccount {
        /// The region that was asked for.
        region: RegionName,
        /// Whose.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
    /// The key is not known, and the region's keys file cannot be read: not the caller's fault, and a retry may help.
    #[error("the keys of region {region} cannot be read: the manager's log says why; mend its keys file")]
    Keys {
        /// Which.
        region: RegionName,
        /// Why; names the file.
        #[source]
        source: Arc<ConfigError>,
    },
}

impl IdentityError {
    /// Whether the manager is to blame, and the same token may be good later.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Keys { .. })
    }
}
