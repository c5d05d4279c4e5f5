//! A cluster's API server as far as tokens go: keys, the set that it publishes, and what it signs. Signs with the crypto
//! library itself, so that the code under test does not check its own signatures.

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{path::PathBuf, sync::LazyLock};
use tempfile::TempDir;
use tenantry_identity::{Caller, Identities, IdentityError};
use tenantry_model::RegionName;

/// When all tests take place.
pub const NOW: i64 = 1_790_000_000;

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub enum Key {
    Rsa(String, RsaKeyPair),
    Ec(String, EcdsaKeyPair),
}

impl Key {
    pub fn rsa(id: &str) -> Self {
        Self::Rsa(id.to_owned(), RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub fn ec(id: &str) -> Self {
        Self::Ec(id.to_owned(), EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// As `kubectl get --raw /openid/v1/jwks` shows it.
    pub fn public(&self) -> Value {
        match self {
            Self::Rsa(id, pair) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                let n = BASE64.encode(n.big_endian_without_leading_zero());
                let e = BASE64.encode(e.big_endian_without_leading_zero());
                json!({"use": "sig", "kty": "RSA", "kid": id, "alg": "RS256", "n": n, "e": e})
            }
            Self::Ec(id, pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..]));
                json!({"use": "sig", "kty": "EC", "kid": id, "alg": "ES256", "crv": "P-256", "x": x, "y": y})
            }
        }
    }

    pub fn header(&self) -> Value {
        match self {
            Self::Rsa(id, _) => json!({"alg": "RS256", "kid": id}),
            Self::Ec(id, _) => json!({"alg": "ES256", "kid": id}),
        }
    }

    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header(), claims)
    }

    /// A token whose header says what it likes.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature = match self {
            Self::Rsa(_, pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
                    .unwrap();
                signature
            }
            Self::Ec(_, pair) => {
                pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
            }
        };
        format!("{message}.{}", BASE64.encode(signature))
    }

    /// The public key as PEM files and "confused" verifiers have it.
    pub fn public_der(&self) -> Vec<u8> {
        match self {
            Self::Rsa(_, pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Ec(_, pair) => pair.public_key().as_ref().to_vec(),
        }
    }
}

/// Header and claims, as they are signed.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// Making an RSA key takes a second or two.
pub static EU1: LazyLock<Key> = LazyLock::new(|| Key::rsa("eu1-key"));
pub static US1: LazyLock<Key> = LazyLock::new(|| Key::rsa("us1-key"));

/// The claims of a projected token, all of them.
pub fn claims() -> Value {
    json!({
        "aud": ["tenantry"],
        "exp": NOW + 3600,
        "iat": NOW - 60,
        "iss": "https://kubernetes.default.svc.cluster.local",
        "jti": "7a1f2c9e-7c0e-4e58-9a68-3d1e5b2f6c11",
        "kubernetes.io": {
            "namespace": "tenantry-argo",
            "node": {"name": "node-1", "uid": "0d4fb9c2-0b76-4f4e-8b0c-3a8b8d7d9f10"},
            "pod": {"name": "tenantry-0192-bridge-1", "uid": "5e0b3c1d-93a1-4a44-9f0e-0c7f5a1f2b3c"},
            "serviceaccount": {"name": "tenantry-bridge", "uid": "3c7cf2c6-6c7d-4f0a-a3b1-2f1f0b9c8d7e"}
        },
        "nbf": NOW - 60,
        "sub": "system:serviceaccount:tenantry-argo:tenantry-bridge"
    })
}

/// Those claims with some of them changed; `null` takes one away.
pub fn claims_with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

/// A manager's folder with the document and the keys of eu1 and us1.
pub struct Site {
    pub folder: TempDir,
    pub identities: Identities,
}

impl Site {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let region = |name: &str, key: &Key| {
            let keys = folder.path().join(format!("{name}-jwks.json"));
            std::fs::write(&keys, set(&[key])).unwrap();
            json!({
                "events": {"url": "https://events.example/operations", "tokenFile": "/etc/tenantry/token"},
                "identity": {"issuer": "https://kubernetes.default.svc.cluster.local", "keysFile": keys}
            })
        };
        let document = json!({"regions": {"eu1": region("eu1", &EU1), "us1": region("us1", &US1)}});
        let path = folder.path().join("argo.yaml");
        std::fs::write(&path, document.to_string()).unwrap();
        let identities = Identities::from_file(&path).unwrap();
        Self { folder, identities }
    }

    pub fn keys_file(&self) -> PathBuf {
        self.folder.path().join("eu1-jwks.json")
    }

    pub fn verify(&self, token: &str) -> Result<Caller, IdentityError> {
        self.verify_at(token, NOW)
    }

    pub fn verify_at(&self, token: &str, second: i64) -> Result<Caller, IdentityError> {
        self.identities.verify(&region("eu1"), token, at(second))
    }

    /// What the caller is told.
    pub fn refusal(&self, token: &str) -> String {
        let said = self.verify(token).unwrap_err().to_string();
        for part in token.split('.').filter(|part| part.len() > 20) {
            assert!(!said.contains(part), "the token is in its refusal: {said}");
        }
        said
    }
}

pub fn region(name: &str) -> RegionName {
    name.parse().unwrap()
}

pub fn set(keys: &[&Key]) -> String {
    json!({"keys": keys.iter().map(|key| key.public()).collect::<Vec<_>>()}).to_string()
}
