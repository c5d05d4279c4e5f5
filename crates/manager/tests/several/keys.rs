//! Two managers that share the file of the audit log's key, and replace it at the same moment.

use crate::common::*;
use crate::two_over;
use std::path::Path;
use tenantry_manager::{AuditConfig, Manager};

fn beside(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.contains(".next")).collect()
}

async fn seal(manager: &Manager, tenant: &str) {
    manager.create_tenant(&admin(), tenant.parse().unwrap(), "T".to_owned()).await.unwrap();
    manager.seal_audit(&admin()).await.unwrap();
}

/// Each rotation is carried out once, whichever file system call of one lies between two of the other: the file holds
/// the newest key, both managers sign with it, and every head was announced by the one before.
pub async fn rotated_at_once() {
    const TURNS: usize = 12;
    let mut world = World::new();
    let file = world.folder.path().join("key.pem");
    world.config.audit = AuditConfig { key_file: Some(file.clone()), ..AuditConfig::default() };
    let (one, two, _) = two_over(&world).await;
    // Nobody has made the first key yet.
    let (mine, yours) = tokio::join!(one.audit_keys(), two.audit_keys());
    assert_eq!(mine.unwrap(), yours.unwrap(), "one key, whoever was first");
    for turn in 0..TURNS {
        let who = admin();
        let (first, second) =
            tokio::join!(one.rotate_audit_key(&who, "leaked"), two.rotate_audit_key(&who, "leaked, too"));
        let made = [first.unwrap().id, second.unwrap().id];
        let newest = one.audit_keys().await.unwrap().pop().unwrap();
        assert!(made.contains(&newest.id), "turn {turn}: {made:?} {newest:?}");
        let text = std::fs::read_to_string(&file).unwrap();
        let held = tenantry_audit::Signer::from_pem(&text).unwrap();
        assert_eq!(held.public().id(), newest.id, "turn {turn}: the file holds the newest key");
        seal(&one, &format!("a{turn}")).await;
        seal(&two, &format!("b{turn}")).await;
    }
    assert_eq!(two.audit_keys().await.unwrap().len(), 1 + 2 * TURNS);
    assert_eq!(beside(world.folder.path()), Vec::<String>::new());
    assert_eq!(findings(&two).await, []);
}
