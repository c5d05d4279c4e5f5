//! The database cannot be written for a while: whoever asks is told so, nothing is half done, and managers that stayed
//! up go on by themselves when it is mended.

use crate::beside::Beside;
use crate::common::*;
use crate::holds::{ready, reindex};
use crate::{DEADLINE, two_over};
use std::time::Duration;
use tenantry_manager::ErrorClass;
use tenantry_model::*;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Sessions get what was set when they begin, as they do after a switch to a standby.
const END_OTHERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()";

pub async fn read_only() {
    let world = World::new();
    let (one, two, url) = two_over(&world).await;
    let (mut agent, environments) = ready(&one, &["prod"]).await;
    let id = environments[0].id;
    let shutdown = CancellationToken::new();
    let running: Vec<_> = [&one, &two]
        .into_iter()
        .map(|manager| {
            let (manager, shutdown) = (manager.clone(), shutdown.clone());
            tokio::spawn(async move { manager.run(shutdown).await })
        })
        .collect();
    let before = requested(one.request_operation(&admin(), id, reindex()).await.unwrap());
    let start = agent.starts(&one).await.remove(0);

    let name = url.rsplit('/').next().unwrap().to_owned();
    let mut beside = Beside::new(&url).await;
    beside.run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    beside.run(END_OTHERS).await;
    let told = one.request_operation(&admin(), id, reindex()).await.unwrap_err();
    assert_eq!(told.class(), ErrorClass::Unavailable);
    assert!(told.to_string().contains("read-only"), "{told}");
    let fact = agent.observation(&start.attempt, world.now(), ended_fact(world.now(), success()));
    let told = two.agent_observe(&agent.region, vec![fact.clone()]).await.unwrap_err();
    assert_eq!(told.class(), ErrorClass::Unavailable, "the agent keeps it and says it again");
    assert_eq!(state(&one, before.id).await, OperationState::Running, "what is there can be read");

    beside.run(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
    beside.run(END_OTHERS).await;
    assert_eq!(two.agent_observe(&agent.region, vec![fact]).await.unwrap(), vec![]);
    let after = requested(one.request_operation(&admin(), id, reindex()).await.unwrap());
    let ended = async {
        while state(&one, after.id).await != OperationState::Succeeded {
            agent.run_all(&two, world.now()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, ended).await.expect("both run to their end");
    assert_eq!(state(&two, before.id).await, OperationState::Succeeded);
    let all = one.operations(&admin(), tenantry_store::OperationFilter::default(), &Page::default()).await;
    let asked = all.unwrap().items.into_iter().filter(|operation| operation.name.as_str() == "crm.reindex");
    assert_eq!(asked.count(), 2, "what was refused is not there");
    assert!(two.verify_audit(Some(id)).await.unwrap().is_ok());
    shutdown.cancel();
    for manager in running {
        timeout(DEADLINE, manager).await.unwrap().unwrap();
    }
}
