//! The document: its example, its defaults, and what a person who gets it wrong is told.

use crate::cluster::{EU1, Key, set};
use serde_json::json;
use std::{fs, path::Path};
use tempfile::TempDir;
use tenantry_identity::{EXAMPLE, EventsConfig, Identities, RegionsOfArgo};
use tenantry_model::{EventMode, with_causes};

fn parse(text: &str) -> Result<RegionsOfArgo, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("argo.yaml");
    fs::write(&path, text).unwrap();
    RegionsOfArgo::from_file(&path)
        .map_err(|error| with_causes(&error).replace(&path.display().to_string(), "argo.yaml"))
}

const IDENTITY: &str = "{issuer: https://cluster.example, keysFile: keys.json}";

fn with_identity(identity: &str) -> String {
    format!(
        "regions:\n  eu1:\n    events: {{url: 'https://e', tokenFile: token}}\n    identity: {identity}\n"
    )
}

#[test]
fn the_example_is_read_as_it_stands() {
    let document = parse(EXAMPLE).unwrap();
    let region = &document.regions[&"eu1".parse().unwrap()];
    assert_eq!(
        region.events,
        EventsConfig {
            url: "https://tenantry-operations.eu1.example/operations".to_owned(),
            token_file: "/etc/tenantry/eu1-events-token".into(),
            ca_file: Some("/etc/tenantry/eu1-ca.pem".into()),
            mode: EventMode::Structured,
        }
    );
    assert_eq!(region.identity.issuer, "https://kubernetes.default.svc.cluster.local");
    assert_eq!(region.identity.keys_file, Path::new("/etc/tenantry/eu1-jwks.json"));
    // What the example says may be left out has the same value then.
    let shorter: Vec<_> = EXAMPLE.lines().filter(|line| !line.contains("may be left out")).collect();
    let without = &parse(&shorter.join("\n")).unwrap().regions[&"eu1".parse().unwrap()];
    assert_eq!(without.identity, region.identity);
    assert_eq!((&without.events.ca_file, without.events.mode), (&None, EventMode::Structured));
}

#[test]
fn json_and_regions_that_look_like_truth_values_are_read() {
    let region = json!({
        "events": {"url": "https://e", "tokenFile": "token"},
        "identity": {"issuer": "https://cluster.example", "keysFile": "keys.json"}
    });
    let document = parse(&json!({"regions": {"eu1": region}}).to_string()).unwrap();
    assert_eq!(document.regions.len(), 1);
    let norway = with_identity(IDENTITY).replace("eu1:", "no:");
    assert!(parse(&norway).unwrap().regions.contains_key(&"no".parse().unwrap()));
}

#[test]
fn mistakes_are_told_with_file_and_place() {
    let wrong = |text: &str, said: &[&str]| {
        let error = parse(text).unwrap_err();
        for part in said {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    };
    let place = ["argo.yaml", "line"];
    wrong(&with_identity("{issuer: a, keysFile: b, audiences: [c]}"), &[&place[..], &["audiences"]].concat());
    wrong(&with_identity("{issuer: a}"), &[&place[..], &["keysFile"]].concat());
    wrong(&with_identity(IDENTITY).replace("eu1", "EU 1"), &[&place[..], &["region name", "EU 1"]].concat());
    let twice = format!("{0}{1}", with_identity(IDENTITY), with_identity(IDENTITY).replace("regions:\n", ""));
    wrong(&twice, &[&place[..], &["eu1"]].concat());
    for account in ["tenantry-bridge", "a/b/c", "/a", "a/", "system:serviceaccount:a:b", "A/b"] {
        let text = with_identity(&format!("{{issuer: a, keysFile: b, serviceAccount: '{account}'}}"));
        wrong(&text, &[&place[..], &[account, "write namespace/name"]].concat());
    }
    wrong("regions: {}", &["argo.yaml names no region: write one under `regions`"]);
    wrong("", &["argo.yaml"]);
    wrong(&" ".repeat(1024 * 1024 + 1), &["argo.yaml is longer than 1 MiB"]);
}

#[test]
fn a_file_that_was_named_by_mistake_is_not_printed() {
    for text in
        ["c2VjcmV0", "token: c2VjcmV0", "regions: c2VjcmV0", "[c2VjcmV0", "- c2VjcmV0\n", "a: b: c2VjcmV0"]
    {
        let error = parse(text).unwrap_err();
        assert!(error.starts_with("argo.yaml: ") && !error.contains("c2VjcmV0"), "{error}");
    }
}

#[test]
fn a_service_account_of_its_own_and_an_audience_of_its_own_are_taken() {
    let text = with_identity("{issuer: a, keysFile: b, audience: c, serviceAccount: my-ns/my.bridge}");
    let identity = &parse(&text).unwrap().regions[&"eu1".parse().unwrap()].identity;
    assert_eq!(
        (identity.audience.as_str(), identity.service_account.to_string().as_str()),
        ("c", "my-ns/my.bridge")
    );
}

/// What a start says with these keys.
fn start(keys: Option<&str>) -> Result<Identities, String> {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let (path, file) = (folder.path().join("argo.yaml"), folder.path().join("keys.json"));
    fs::write(&path, with_identity(&format!("{{issuer: a, keysFile: '{}'}}", file.display()))).unwrap();
    if let Some(keys) = keys {
        fs::write(&file, keys).unwrap();
    }
    Identities::from_file(&path)
        .map_err(|error| with_causes(&error).replace(&file.display().to_string(), "keys.json"))
}

#[test]
fn a_start_without_usable_keys_says_which_file_and_how_to_write_it() {
    const REGION: &str = "region eu1: its `identity.keysFile` cannot be used: ";
    let said = |keys: Option<&str>| start(keys).unwrap_err();
    assert_eq!(
        said(None),
        format!(
            "{REGION}cannot read keys.json: correct the path, or its owner and mode: No such file or directory (os error 2)"
        )
    );
    assert_eq!(
        said(Some("-----BEGIN PRIVATE KEY-----")),
        format!(
            "{REGION}keys.json is no JWKS (line 1, column 2): write to it what `kubectl get --raw /openid/v1/jwks` prints"
        )
    );
    let shared_secret = json!({"kty": "oct", "kid": "s", "alg": "HS256", "k": "c2VjcmV0"});
    let for_encryption = {
        let mut key = EU1.public();
        key["use"] = json!("enc");
        key
    };
    let without_id = {
        let mut key = EU1.public();
        key.as_object_mut().unwrap().remove("kid");
        key
    };
    let of_another_algorithm = {
        let mut key = EU1.public();
        key["alg"] = json!("PS256");
        key
    };
    let of_another_curve = json!({"kty": "EC", "kid": "e", "crv": "P-384", "x": "AA", "y": "AA"});
    for key in [shared_secret, for_encryption, without_id, of_another_algorithm, of_another_curve] {
        assert_eq!(
            said(Some(&json!({ "keys": [key] }).to_string())),
            format!(
                "{REGION}keys.json has no key for RS256 or ES256 with an id: write to it what `kubectl get --raw /openid/v1/jwks` prints"
            ),
            "{key}"
        );
    }
    let too_long = " ".repeat(1024 * 1024 + 1);
    assert_eq!(
        said(Some(&too_long)),
        format!("{REGION}keys.json is longer than 1 MiB: is it the right file?")
    );
}

#[test]
fn keys_of_other_kinds_are_passed_over() {
    let others = json!([
        {"kty": "OKP", "crv": "Ed25519", "kid": "o", "x": "AA"}, {"kty": "future", "kid": "f"}, {"kid": 7}, "x", null,
        Key::ec("usable").public()
    ]);
    assert!(start(Some(&json!({ "keys": others }).to_string())).is_ok());
    assert!(start(Some(&set(&[&EU1]))).is_ok());
}

#[test]
fn a_program_can_ask_for_the_regions_and_where_their_events_go() {
    fn shared<T: Send + Sync>(what: T) -> T {
        what
    }
    let identities = shared(start(Some(&set(&[&EU1]))).unwrap());
    assert_eq!(identities.regions().count(), 1);
    assert_eq!(identities.events(&"eu1".parse().unwrap()).unwrap().url, "https://e");
    assert_eq!(identities.events(&"us1".parse().unwrap()), None);
    assert_eq!(format!("{identities:?}"), "{\"eu1\"}");
}

#[test]
fn two_regions_whose_bridges_nobody_can_tell_apart_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let keys = |name: &str, of: &[&Key]| {
        let path = folder.path().join(name);
        fs::write(&path, set(of)).unwrap();
        path
    };
    let (shared, own) = (keys("shared.json", &[&EU1]), keys("own.json", &[&Key::ec("own")]));
    let (old, new) = (keys("old.json", &[&Key::ec("gone"), &EU1]), json!({}));
    let open = |other: &serde_json::Value, file: &Path| {
        let region = |keys: &Path, more: &serde_json::Value| {
            let mut identity = json!({"issuer": "https://cluster.example", "keysFile": keys});
            identity.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"events": {"url": "https://e", "tokenFile": "token"}, "identity": identity})
        };
        let document = json!({"regions": {"eu1": region(&shared, &json!({})), "eu2": region(file, other)}});
        let path = folder.path().join("argo.yaml");
        fs::write(&path, document.to_string()).unwrap();
        Identities::from_file(&path).map(drop).map_err(|error| error.to_string())
    };
    for file in [&shared, &old] {
        let said = open(&new, file).unwrap_err();
        assert!(said.starts_with("regions eu1 and eu2 have key \"eu1-key\" in common"), "{said}");
    }
    assert_eq!(open(&new, &own), Ok(()), "another cluster's keys");
    assert_eq!(open(&json!({"audience": "tenantry-eu2"}), &shared), Ok(()));
    assert_eq!(open(&json!({"serviceAccount": "argo-eu2/bridge"}), &shared), Ok(()));
    assert_eq!(open(&json!({"issuer": "https://other.example"}), &shared), Ok(()));
}
