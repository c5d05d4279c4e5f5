//! The good token, and each that is refused, with the words that its sender gets.

use crate::cluster::{EU1, Key, NOW, Site, US1, at, claims, claims_with, region, set, unsigned};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::json;
use tenantry_identity::{IdentityError, MAX_TOKEN_BYTES};

/// The good token with some claims changed.
fn token(changes: &serde_json::Value) -> String {
    EU1.token(&claims_with(changes))
}

#[test]
fn a_good_token_says_which_service_account_and_which_pod() {
    let site = Site::new();
    let caller = site.verify(&EU1.token(&claims())).unwrap();
    assert_eq!(caller.region, region("eu1"));
    assert_eq!(caller.service_account.to_string(), "tenantry-argo/tenantry-bridge");
    let pod = caller.pod.unwrap();
    assert_eq!(pod.name, "tenantry-0192-bridge-1");
    assert_eq!(pod.uid, "5e0b3c1d-93a1-4a44-9f0e-0c7f5a1f2b3c");
}

#[test]
fn a_token_that_is_bound_to_no_pod_is_good_and_names_none() {
    let site = Site::new();
    for kubernetes in [json!(null), json!({"namespace": "tenantry-argo"})] {
        let caller = site.verify(&token(&json!({"kubernetes.io": kubernetes}))).unwrap();
        assert_eq!(caller.pod, None);
    }
}

#[test]
fn a_token_of_an_ec_key_is_good() {
    let site = Site::new();
    let key = Key::ec("ec");
    std::fs::write(site.keys_file(), set(&[&EU1, &key])).unwrap();
    assert!(site.verify(&key.token(&claims())).is_ok());
    assert!(site.verify(&EU1.token(&claims())).is_ok());
}

#[test]
fn a_region_that_the_document_does_not_name_is_refused() {
    let site = Site::new();
    let error = site.identities.verify(&region("mars"), &EU1.token(&claims()), at(NOW)).unwrap_err();
    assert!(matches!(error, IdentityError::UnknownRegion { .. }) && !error.is_ours());
    assert_eq!(
        error.to_string(),
        "mars is no region of Argo at this manager: correct the bridge's region, or add it to the regions of Argo and start the manager again"
    );
}

#[test]
fn a_token_of_another_clusters_key_is_refused() {
    let site = Site::new();
    let foreign = US1.token(&claims());
    assert!(matches!(site.verify(&foreign), Err(IdentityError::UnknownKey { .. })));
    assert_eq!(
        site.refusal(&foreign),
        "the token is signed with the RS256 key \"us1-key\", which region eu1 does not have: it is from another cluster, or the cluster has a new key; then write `kubectl get --raw /openid/v1/jwks` to the region's keys file"
    );
    // It is good for its own region only.
    assert!(site.identities.verify(&region("us1"), &foreign, at(NOW)).is_ok());
}

#[test]
fn a_token_of_another_key_under_a_known_id_is_refused() {
    let site = Site::new();
    let forged = US1.token_with(&EU1.header(), &claims());
    assert!(matches!(site.verify(&forged), Err(IdentityError::Signature { .. })));
    assert_eq!(
        site.refusal(&forged),
        "the token's signature is not of key \"eu1-key\" of region eu1: it was changed, or is from another cluster; send what the file of the projected volume holds"
    );
}

#[test]
fn a_token_whose_claims_were_changed_is_refused() {
    let site = Site::new();
    let good = EU1.token(&claims());
    let signature = good.rsplit('.').next().unwrap();
    let longer = unsigned(&EU1.header(), &claims_with(&json!({"exp": NOW + 7200})));
    let error = site.verify(&format!("{longer}.{signature}")).unwrap_err();
    assert!(matches!(error, IdentityError::Signature { .. }), "{error}");
}

#[test]
fn unsigned_tokens_and_shared_secrets_are_refused() {
    let site = Site::new();
    let header = |algorithm: &str| json!({"alg": algorithm, "kid": "eu1-key"});
    for algorithm in
        ["none", "None", "HS256", "HS512", "RS384", "RS512", "PS256", "ES384", "EdDSA", "rs256", ""]
    {
        let token = EU1.token_with(&header(algorithm), &claims());
        let error = site.verify(&token).unwrap_err();
        assert!(matches!(&error, IdentityError::Algorithm { found } if found == algorithm), "{error}");
    }
    let bare = format!("{}.", unsigned(&header("none"), &claims()));
    assert_eq!(
        site.refusal(&bare),
        "the token says that it is signed with \"none\": only RS256 and ES256 are taken; send a projected service account token of the region's cluster"
    );
    // The public key as a shared secret: the old trick.
    let message = unsigned(&header("HS256"), &claims());
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &EU1.public_der());
    let tag = BASE64.encode(hmac::sign(&secret, message.as_bytes()));
    assert!(matches!(site.verify(&format!("{message}.{tag}")), Err(IdentityError::Algorithm { .. })));
}

#[test]
fn a_key_is_used_with_its_own_algorithm_only() {
    let site = Site::new();
    let token = EU1.token_with(&json!({"alg": "ES256", "kid": "eu1-key"}), &claims());
    assert!(matches!(site.verify(&token), Err(IdentityError::UnknownKey { algorithm: "ES256", .. })));
}

#[test]
fn a_token_without_a_signature_is_refused() {
    let site = Site::new();
    let bare = format!("{}.", unsigned(&EU1.header(), &claims()));
    assert!(matches!(site.verify(&bare), Err(IdentityError::Signature { .. })));
}

#[test]
fn what_is_no_token_is_refused() {
    let site = Site::new();
    let what = "the token cannot be read (it is no JWT): send what the file of the projected volume holds";
    let good = EU1.token(&claims());
    let twice = format!("{good}.{good}");
    for text in
        [&twice, "", ".", "..", "a.b.c", "tny_0123456789", "{}.{}.{}", "\u{0}.ä.\u{1F511}", &good[1..]]
    {
        assert_eq!(site.refusal(text), what, "{text:?}");
    }
    // Cut off behind the header, with a part too many, with a signature that is not base64.
    let (header, _) = good.split_once('.').unwrap();
    let (message, _) = good.rsplit_once('.').unwrap();
    for text in [header.to_owned(), format!("{header}."), format!("{message}.+/"), format!("{good}\n")] {
        assert!(site.refusal(&text).starts_with("the token "), "{text:?}");
    }
}

#[test]
fn a_token_that_names_no_key_is_refused() {
    let site = Site::new();
    let token = EU1.token_with(&json!({"alg": "RS256"}), &claims());
    assert_eq!(
        site.refusal(&token),
        "the token cannot be read (it names no key): send what the file of the projected volume holds"
    );
}

#[test]
fn a_token_that_is_too_long_is_refused_unread() {
    let site = Site::new();
    let token = token(&json!({"padding": "x".repeat(MAX_TOKEN_BYTES)}));
    assert!(matches!(site.verify(&token), Err(IdentityError::TooLong)));
    assert_eq!(
        site.refusal(&token),
        "the token is longer than 16 KiB: send what the file of the projected volume holds"
    );
}

#[test]
fn a_token_of_another_issuer_is_refused() {
    let site = Site::new();
    assert_eq!(
        site.refusal(&token(&json!({"iss": "https://oidc.example/clusters/7"}))),
        "the token is issued by \"https://oidc.example/clusters/7\", tokens of region eu1 are by \"https://kubernetes.default.svc.cluster.local\": correct `identity.issuer` of the region (`kubectl get --raw /.well-known/openid-configuration` says it)"
    );
}

#[test]
fn the_token_of_an_old_secret_is_refused_for_its_issuer() {
    let site = Site::new();
    let old = token(&json!({"iss": "kubernetes/serviceaccount", "aud": null, "exp": null, "nbf": null}));
    assert!(matches!(site.verify(&old), Err(IdentityError::Issuer { .. })));
}

#[test]
fn a_token_for_another_audience_is_refused() {
    let site = Site::new();
    assert_eq!(
        site.refusal(&token(&json!({"aud": ["https://kubernetes.default.svc", "vault"]}))),
        "the token is for \"https://kubernetes.default.svc\", \"vault\", not for \"tenantry\": set `audience: tenantry` at the projected volume of the bridge"
    );
    for none in [json!(null), json!([])] {
        let said = site.refusal(&token(&json!({ "aud": none })));
        assert!(said.starts_with("the token is for no audience, not for \"tenantry\": "), "{said}");
    }
    let said = site.refusal(&token(&json!({"aud": "tenantry2"})));
    assert!(said.starts_with("the token is for \"tenantry2\", not for"), "{said}");
}

#[test]
fn one_audience_among_several_and_one_alone_are_enough() {
    let site = Site::new();
    for audience in [json!("tenantry"), json!(["vault", "tenantry"])] {
        assert!(site.verify(&token(&json!({ "aud": audience }))).is_ok());
    }
}

#[test]
fn an_expired_token_is_refused_sixty_seconds_later() {
    let site = Site::new();
    let token = token(&json!({"exp": NOW}));
    assert!(site.verify_at(&token, NOW + 59).is_ok());
    let error = site.verify_at(&token, NOW + 60).unwrap_err();
    assert!(matches!(error, IdentityError::Expired { .. }));
    assert_eq!(
        error.to_string(),
        "the token expired at 2026-09-21T14:13:20Z: read its file again before each call, the kubelet renews it; or set this machine's clock right"
    );
}

#[test]
fn a_token_is_refused_until_sixty_seconds_before_it_begins() {
    let site = Site::new();
    let token = token(&json!({"nbf": NOW}));
    assert!(site.verify_at(&token, NOW - 60).is_ok());
    let error = site.verify_at(&token, NOW - 61).unwrap_err();
    assert!(matches!(error, IdentityError::NotYet { .. }));
    assert_eq!(
        error.to_string(),
        "the token is good from 2026-09-21T14:13:20Z on: set the clocks of the cluster and of this machine right"
    );
}

#[test]
fn times_that_no_clock_shows_do_no_harm() {
    let site = Site::new();
    assert!(site.verify(&token(&json!({"exp": i64::MAX, "nbf": i64::MIN}))).is_ok());
    let always_over = site.verify(&token(&json!({"exp": i64::MIN})));
    assert!(matches!(always_over, Err(IdentityError::Expired { .. })));
    let never = site.verify(&token(&json!({"nbf": i64::MAX})));
    assert!(matches!(never, Err(IdentityError::NotYet { .. })));
}

#[test]
fn a_token_that_never_expires_is_refused() {
    let site = Site::new();
    assert_eq!(
        site.refusal(&token(&json!({"exp": null}))),
        "the token cannot be read (it never expires): send what the file of the projected volume holds"
    );
}

#[test]
fn claims_of_another_shape_are_refused() {
    let site = Site::new();
    let shapes = [json!({"exp": "soon"}), json!({"sub": null}), json!({"iss": 7}), json!({"aud": {"a": 1}})];
    for changes in shapes {
        let said = site.refusal(&token(&changes));
        assert!(said.contains("its claims are not those of a service account"), "{changes}: {said}");
    }
}

#[test]
fn a_token_of_another_service_account_is_refused() {
    let site = Site::new();
    assert_eq!(
        site.refusal(&token(&json!({"sub": "system:serviceaccount:crm:default"}))),
        "the token is of \"system:serviceaccount:crm:default\", bridges of region eu1 are \"system:serviceaccount:tenantry-argo:tenantry-bridge\": correct the Workflow's service account, or `identity.serviceAccount` of the region"
    );
    for subject in [
        "tenantry-argo/tenantry-bridge",
        "system:serviceaccount:tenantry-argo:tenantry-bridge2",
        "system:serviceaccount:tenantry-argo:tenantry-bridge:",
        "system:node:node-1",
    ] {
        let error = site.verify(&token(&json!({ "sub": subject }))).unwrap_err();
        assert!(matches!(error, IdentityError::ServiceAccount { .. }), "{error}");
    }
}

#[test]
fn what_a_token_claims_is_cut_and_quoted_in_messages() {
    let site = Site::new();
    let header = json!({"alg": "RS256", "kid": format!("\n\u{1b}[31m{}", "k".repeat(5000))});
    let said = site.refusal(&EU1.token_with(&header, &claims()));
    assert!(said.len() < 500 && !said.contains('\n') && !said.contains('\u{1b}'), "{said}");
    let said = site.refusal(&token(&json!({"sub": "s".repeat(5000), "aud": ["tenantry"]})));
    assert!(said.len() < 500, "{said}");
    let said = site.refusal(&token(&json!({"aud": vec!["\n".repeat(40); 40]})));
    assert!(said.len() < 500 && !said.contains('\n'), "{said}");
}
