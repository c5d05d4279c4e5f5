//! Checks tokens.

use crate::{
    ConfigError, EventsConfig, IdentityConfig, IdentityError, RegionOfArgo, RegionsOfArgo, ServiceAccount,
    claims::{Bound, Claims, Header},
    keys::Keys,
};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind};
use std::{collections::BTreeMap, fmt, path::Path};
use tenantry_model::RegionName;

/// The longest token: 16 KiB. Those of clusters have about one.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// How far a cluster's clock and this machine's may be apart.
pub const LEEWAY: SignedDuration = SignedDuration::from_mins(1);

/// Who presented a good token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The region whose keys it was checked with.
    pub region: RegionName,
    /// Whose token it is.
    pub service_account: ServiceAccount,
    /// The Pod that it is bound to, if it says so.
    pub pod: Option<Pod>,
}

/// A Pod, by what cannot be used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// In the service account's namespace.
    pub name: String,
    /// Of this Pod alone.
    pub uid: String,
}

/// The regions of Argo with their keys.
pub struct Identities(BTreeMap<RegionName, Region>);

struct Region {
    config: RegionOfArgo,
    keys: Keys,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Identities {
    /// Reads the document and the keys of all its regions.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        Self::new(RegionsOfArgo::from_file(path)?)
    }

    /// Reads the keys of all regions.
    pub fn new(document: RegionsOfArgo) -> Result<Self, ConfigError> {
        let open = |(name, config): (RegionName, RegionOfArgo)| match Keys::open(&config.identity.keys_file) {
            Ok(keys) => Ok((name, Region { config, keys })),
            Err(error) => Err(ConfigError::Region { region: name, source: Box::new(error) }),
        };
        let regions: BTreeMap<_, _> = document.regions.into_iter().map(open).collect::<Result<_, _>>()?;
        for (one, a) in &regions {
            for (other, b) in regions.iter().filter(|(other, _)| one < *other) {
                if is_same(&a.config.identity, &b.config.identity)
                    && let Some(key) = a.keys.common(&b.keys)
                {
                    let (one, other) = (one.clone(), other.clone());
                    return Err(ConfigError::Indistinguishable { one, other, key });
                }
            }
        }
        Ok(Self(regions))
    }

    /// The regions of Argo, and where their events go.
    pub fn regions(&self) -> impl Iterator<Item = (&RegionName, &EventsConfig)> {
        self.0.iter().map(|(name, region)| (name, &region.config.events))
    }

    /// Where people see Argo's own pages, for the regions of which that is known; without a slash at the end.
    pub fn pages(&self) -> impl Iterator<Item = (&RegionName, &str)> {
        self.0
            .iter()
            .filter_map(|(name, region)| Some((name, region.config.ui.as_deref()?.trim_end_matches('/'))))
    }

    /// Where a region's events go; none: it is no region of Argo.
    #[must_use]
    pub fn events(&self, region: &RegionName) -> Option<&EventsConfig> {
        self.0.get(region).map(|region| &region.config.events)
    }

    /// Whose token this is. Looks at the keys file, a small local one, and reads it when it has changed.
    pub fn verify(&self, region: &RegionName, token: &str, now: Timestamp) -> Result<Caller, IdentityError> {
        let Some(Region { config, keys }) = self.0.get(region) else {
            return Err(IdentityError::UnknownRegion { region: region.clone() });
        };
        if token.len() > MAX_TOKEN_BYTES {
            return Err(IdentityError::TooLong);
        }
        let claims = proven(region, token, keys, now)?;
        check(region, &config.identity, &claims, now)?;
        let pod = claims.kubernetes.pod.map(|Bound { name, uid }| Pod { name, uid });
        let service_account = config.identity.service_account.clone();
        Ok(Caller { region: region.clone(), service_account, pod })
    }
}

/// A token could be of either, if a key of both has signed it: a bridge of one region could then speak for the other.
fn is_same(one: &IdentityConfig, other: &IdentityConfig) -> bool {
    one.issuer == other.issuer
        && one.audience == other.audience
        && one.service_account == other.service_account
}

/// The claims, if a key of the region has signed them.
fn proven(region: &RegionName, token: &str, keys: &Keys, now: Timestamp) -> Result<Claims, IdentityError> {
    let header = Header::of(token).ok_or(IdentityError::Unreadable { what: "it is no JWT" })?;
    let (algorithm, word) = match header.alg.as_str() {
        "RS256" => (Algorithm::RS256, "RS256"),
        "ES256" => (Algorithm::ES256, "ES256"),
        other => return Err(IdentityError::Algorithm { found: cut(other) }),
    };
    let id = header.kid.ok_or(IdentityError::Unreadable { what: "it names no key" })?;
    let found = keys
        .find(&id, algorithm, now)
        .map_err(|source| IdentityError::Keys { region: region.clone(), source })?;
    if found.is_empty() {
        return Err(IdentityError::UnknownKey { region: region.clone(), key: cut(&id), algorithm: word });
    }
    for key in found {
        match signed(token, &key, algorithm) {
            Ok(claims) => return Ok(claims),
            Err(ErrorKind::InvalidSignature) => {}
            Err(ErrorKind::Json(_)) => {
                return Err(IdentityError::Unreadable {
                    what: "its claims are not those of a service account",
                });
            }
            Err(_) => return Err(IdentityError::Unreadable { what: "it is no JWT" }),
        }
    }
    Err(IdentityError::Signature { region: region.clone(), key: cut(&id) })
}

/// The library checks the signature, and nothing else: its other checks know neither our clock nor our words.
fn signed(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Claims, ErrorKind> {
    let mut signature_alone = Validation::new(algorithm);
    signature_alone.required_spec_claims.clear();
    signature_alone.validate_exp = false;
    signature_alone.validate_aud = false;
    match jsonwebtoken::decode(token, key, &signature_alone) {
        Ok(data) => Ok(data.claims),
        Err(error) => Err(error.into_kind()),
    }
}

fn check(
    region: &RegionName,
    config: &IdentityConfig,
    claims: &Claims,
    now: Timestamp,
) -> Result<(), IdentityError> {
    if claims.iss != config.issuer {
        return Err(IdentityError::Issuer {
            region: region.clone(),
            found: cut(&claims.iss),
            wanted: config.issuer.clone(),
        });
    }
    let audiences = claims.aud.as_slice();
    if !audiences.contains(&config.audience) {
        let named: Vec<_> = audiences.iter().map(|audience| format!("{audience:?}")).collect();
        let found = if named.is_empty() { "no audience".to_owned() } else { cut(&named.join(", ")) };
        return Err(IdentityError::Audience { found, wanted: config.audience.clone() });
    }
    let (second, leeway) = (now.as_second(), LEEWAY.as_secs());
    // Every projected token ends; one that does not could be used for ever by whoever finds it.
    let ends = claims.exp.ok_or(IdentityError::Unreadable { what: "it never expires" })?;
    if ends.saturating_add(leeway) <= second {
        let at = Timestamp::from_second(ends).unwrap_or(Timestamp::MIN);
        return Err(IdentityError::Expired { at });
    }
    match claims.nbf {
        Some(begins) if begins.saturating_sub(leeway) > second => {
            let from = Timestamp::from_second(begins).unwrap_or(Timestamp::MAX);
            return Err(IdentityError::NotYet { from });
        }
        _ => {}
    }
    let ServiceAccount { namespace, name } = &config.service_account;
    let wanted = format!("system:serviceaccount:{namespace}:{name}");
    if claims.sub != wanted {
        let found = cut(&claims.sub);
        return Err(IdentityError::ServiceAccount { region: region.clone(), found, wanted });
    }
    Ok(())
}

/// What comes from a token goes into messages and logs: bounded, and quoted by whoever prints it.
fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}
