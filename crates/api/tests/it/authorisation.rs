//! Who may call what, tried at every endpoint.

use crate::harness::{Bench, got, wish};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::json;
use tenantry_api::access::{Access, On, RULES};
use tenantry_api_types::v1::*;
use tenantry_client::Call;
use tenantry_model::{Role, Scope};
use uuid::Uuid;

/// A path of this shape that names nothing.
fn concrete(path: &str) -> String {
    path.replace("{environment}", &Uuid::nil().to_string())
        .replace("{operation}", &Uuid::nil().to_string())
        .replace("{hold}", &Uuid::nil().to_string())
        .replace("{approval}", &Uuid::nil().to_string())
        .replace("{letter}", &Uuid::nil().to_string())
        .replace("{token}", &Uuid::nil().to_string())
        .replace("{step}", "eu1.crm.tenant")
        .replace("{hook}", "eu1.crm.tenant")
        .replace("{attempt}", "1")
        .replace("{tenant}", "nobody")
        .replace("{region}", "nowhere")
        .replace("{name}", "no.thing")
        .replace("{code}", "internal")
        .replace("{schedule}", "no-schedule")
}

#[tokio::test]
async fn every_endpoint_admits_exactly_the_callers_of_its_row() {
    let bench = Bench::new().await;
    bench.basics().await;
    let roles = [Role::Viewer, Role::Operator, Role::Admin];
    let mut tokens = Vec::new();
    for role in roles {
        tokens.push((Some(role), bench.token(role, vec![Scope::All]).await));
    }
    let agent = bench.join("eu1").await;
    for rule in RULES {
        // Streams and long polls are refused or not before they begin; those that begin are tried elsewhere.
        let path = concrete(rule.path);
        let method: Method = rule.method.parse().unwrap();
        let ask = |token: &str| bench.ask(token, method.clone(), &path).header("accept", "*/*");
        let nobody = ask("").send().await.unwrap().status().as_u16();
        assert_eq!(nobody == 401, rule.access != Access::Public, "{rule:?} without a credential: {nobody}");
        if rule.path == "/v1/events" {
            assert_eq!(ask(&tokens[0].1).send().await.unwrap().status(), 200);
            continue;
        }
        for (role, token) in &tokens {
            let refused = matches!(got(ask(token)).await.status.as_u16(), 401 | 403);
            let admitted = match rule.access {
                Access::Public => true,
                Access::Api(least, _) => role.unwrap() >= least,
                Access::Agent | Access::Bridge | Access::Join => false,
            };
            assert_eq!(refused, !admitted, "{rule:?} as {role:?}");
        }
        let refused = matches!(got(ask(&agent)).await.status.as_u16(), 401 | 403);
        assert_eq!(refused, !matches!(rule.access, Access::Public | Access::Agent), "{rule:?} as an agent");
    }
}

#[tokio::test]
async fn what_is_out_of_scope_does_not_exist_for_readers_and_is_refused_to_others() {
    let bench = Bench::new().await;
    bench.basics().await;
    bench.tenant("other").await;
    bench.region("us1").await;
    let mine = bench.environment("prod").await;
    let admin = bench.admin();
    let foreign = admin.create_environment(&wish("other", "prod", "us1"), &Call::default()).await.unwrap();
    let scopes = [vec![Scope::Tenant("acme".parse().unwrap())], vec![Scope::Region("eu1".parse().unwrap())]];
    for scopes in scopes {
        let token = bench.token(Role::Operator, scopes.clone()).await;
        let client = bench.client(&token);
        client.environment(mine.environment.id).await.unwrap();
        client.operation(mine.operation.as_ref().unwrap().id).await.unwrap();

        let id = foreign.environment.id;
        let operation = foreign.operation.as_ref().unwrap().id;
        for path in [
            format!("/v1/environments/{id}"),
            format!("/v1/environments/{id}/events"),
            format!("/v1/environments/{id}/audit"),
            format!("/v1/operations/{operation}"),
            format!("/v1/operations/{operation}/events"),
            "/v1/regions/us1".to_owned(),
            "/v1/tenants/other".to_owned(),
            "/v1/tenants/other/environments/prod".to_owned(),
            "/v1/hooks/us1.crm.tenant".to_owned(),
            format!("/v1/hooks/eu1.crm.tenant:explain?environment={id}&operation=lifecycle.upsert"),
        ] {
            bench.get(&token, &path).await.is_problem(404, "not-found");
        }
        // A verb tells nothing about whether the thing exists.
        for id in [id.to_string(), Uuid::now_v7().to_string()] {
            let path = format!("/v1/environments/{id}:suspend");
            bench.post(&token, &path, &json!({ "reason": "x" })).await.is_problem(403, "forbidden");
        }
        let path = format!("/v1/operations/{operation}:cancel");
        bench.post(&token, &path, &json!({ "reason": "x" })).await.is_problem(403, "forbidden");
        let wish = serde_json::to_value(wish("other", "new", "us1")).unwrap();
        bench.post(&token, "/v1/environments", &wish).await.is_problem(403, "forbidden");
        bench.get(&token, "/v1/audit").await.is_problem(403, "forbidden");
        bench.get(&token, "/metrics").await.is_problem(403, "forbidden");

        let seen = client.environments(&EnvironmentsQuery::default()).await.unwrap();
        assert_eq!(
            seen.items.iter().map(|e| e.id).collect::<Vec<_>>(),
            vec![mine.environment.id],
            "{scopes:?}"
        );
        let seen = client.operations(&OperationsQuery::default()).await.unwrap();
        assert_eq!(seen.items.len(), 1, "{scopes:?}");
    }
}

#[tokio::test]
async fn moving_an_environment_needs_the_role_where_it_goes() {
    let bench = Bench::new().await;
    bench.basics().await;
    bench.region("us1").await;
    let made = bench.environment("prod").await.environment;
    let token = bench.token(Role::Operator, vec![Scope::Region("eu1".parse().unwrap())]).await;
    let change = UpdateEnvironment { region: Some("us1".parse().unwrap()), ..UpdateEnvironment::default() };
    let refused = bench.client(&token).update_environment(made.id, &change, &Call::if_match(made.etag)).await;
    assert_eq!(refused.unwrap_err().code(), Some("forbidden"));
}

#[tokio::test]
async fn a_credential_that_is_missing_wrong_expired_or_revoked_is_refused() {
    let bench = Bench::new().await;
    let admin = bench.admin();
    let missing = bench.get("", "/v1/whoami").await;
    missing.is_problem(401, "unauthenticated");
    assert!(missing.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    let other = Bench::new().await;
    let half = bench.admin[..bench.admin.len() - 4].to_owned() + "aaaa";
    for wrong in ["nonsense", other.admin.as_str(), half.as_str(), "a b", "\u{e4}"] {
        bench.get(wrong, "/v1/whoami").await.is_problem(401, "unauthenticated");
    }
    let basic = bench.http.get(format!("{}/v1/whoami", bench.server().url())).basic_auth("a", Some("b"));
    got(basic).await.is_problem(401, "unauthenticated");

    let body = CreateToken {
        name: "short".to_owned(),
        role: Role::Viewer,
        scopes: vec![Scope::All],
        expires_in: Some(SignedDuration::from_hours(1)),
    };
    let short = admin.create_token(&body, &Call::default()).await.unwrap();
    bench.client(&short.secret).whoami().await.unwrap();
    bench.pass(SignedDuration::from_hours(2));
    bench.get(&short.secret, "/v1/whoami").await.is_problem(401, "unauthenticated");
    let token =
        admin.create_token(&CreateToken { expires_in: None, ..body }, &Call::default()).await.unwrap();
    bench.client(&token.secret).whoami().await.unwrap();
    admin.revoke_token(token.token.id, &RevokeToken::default(), &Call::default()).await.unwrap();
    bench.get(&token.secret, "/v1/whoami").await.is_problem(401, "unauthenticated");
    let listed = admin.tokens(&PageQuery::default()).await.unwrap();
    assert!(!serde_json::to_string(&listed).unwrap().contains("secret"));
}

#[test]
fn only_lists_and_own_things_are_open_to_every_scope() {
    for rule in RULES {
        if let Access::Api(role, On::Own) = rule.access {
            assert_eq!((rule.method, role), ("GET", Role::Viewer), "{rule:?}");
        }
    }
}
