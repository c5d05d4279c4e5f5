//! Keys change while the manager runs: by writing the file, by replacing it, and by mistake.

use crate::cluster::{EU1, Key, NOW, Site, US1, claims, region, set};
use std::fs;
use tenantry_identity::IdentityError;
use tenantry_model::with_causes;

#[test]
fn a_new_key_is_known_as_soon_as_the_file_has_it() {
    let site = Site::new();
    let new = Key::ec("new");
    let token = new.token(&claims());
    assert!(matches!(site.verify(&token), Err(IdentityError::UnknownKey { .. })));
    // Within the ten seconds in which an unknown key makes nothing be read: the change of the file does.
    fs::write(site.keys_file(), set(&[&EU1, &new])).unwrap();
    assert!(site.verify(&token).is_ok());
    assert!(site.verify(&EU1.token(&claims())).is_ok());
}

#[test]
fn a_key_that_the_file_has_no_more_is_not_trusted_any_more() {
    let site = Site::new();
    let (old, new) = (EU1.token(&claims()), Key::ec("new"));
    assert!(site.verify(&old).is_ok());
    // As a mounted Secret is changed: another file in its place.
    let next = site.folder.path().join("next.json");
    fs::write(&next, set(&[&new])).unwrap();
    fs::rename(&next, site.keys_file()).unwrap();
    assert!(matches!(site.verify(&old), Err(IdentityError::UnknownKey { .. })));
    assert!(site.verify(&new.token(&claims())).is_ok());
}

#[test]
fn another_key_under_the_same_id_takes_the_place_of_the_first() {
    let site = Site::new();
    let (first, second) = (Key::ec("same"), Key::ec("same"));
    fs::write(site.keys_file(), set(&[&first])).unwrap();
    assert!(site.verify(&first.token(&claims())).is_ok());
    fs::write(site.keys_file(), set(&[&second])).unwrap();
    assert!(matches!(site.verify(&first.token(&claims())), Err(IdentityError::Signature { .. })));
    assert!(site.verify(&second.token(&claims())).is_ok());
    // Old and new in one file, as two sets were put together by hand.
    fs::write(site.keys_file(), set(&[&first, &second])).unwrap();
    assert!(site.verify(&first.token(&claims())).is_ok() && site.verify(&second.token(&claims())).is_ok());
}

#[test]
fn an_empty_set_takes_trust_away_from_one_region_only() {
    let site = Site::new();
    fs::write(site.keys_file(), r#"{"keys": []}"#).unwrap();
    assert!(matches!(site.verify(&EU1.token(&claims())), Err(IdentityError::UnknownKey { .. })));
    let there = site.identities.verify(&region("us1"), &US1.token(&claims()), crate::cluster::at(NOW));
    assert!(there.is_ok());
}

#[test]
fn a_file_that_cannot_be_read_leaves_the_keys_as_they_were() {
    let site = Site::new();
    let known = EU1.token(&claims());
    let new = Key::ec("new");
    let unknown = new.token(&claims());
    let break_it: [&dyn Fn(); 4] = [
        &|| fs::write(site.keys_file(), r#"{"keys": [{"kty""#).unwrap(),
        &|| fs::write(site.keys_file(), "").unwrap(),
        &|| fs::write(site.keys_file(), " ".repeat(1024 * 1024 + 1)).unwrap(),
        &|| fs::remove_file(site.keys_file()).unwrap(),
    ];
    for (at, break_it) in (0..).zip(break_it) {
        break_it();
        assert!(site.verify(&known).is_ok());
        // It may be in the file: that is not the caller's fault.
        let error = site.verify_at(&unknown, NOW + at).unwrap_err();
        assert!(error.is_ours(), "{error}");
        assert_eq!(
            error.to_string(),
            "the keys of region eu1 cannot be read: the manager's log says why; mend its keys file"
        );
        let why = with_causes(&error);
        assert!(why.contains(&site.keys_file().display().to_string()), "the log names the file: {why}");
    }
    fs::write(site.keys_file(), set(&[&new])).unwrap();
    assert!(site.verify(&unknown).is_ok() && site.verify(&known).is_err());
    let error = site.verify(&known).unwrap_err();
    assert!(!error.is_ours(), "a file that was mended is no excuse any more: {error}");
}
