//! `reconfigure` takes effect at once, on connections that were opened under the old settings too.

use http::StatusCode;

use super::{HOST, Scene, built, send};
use crate::support::answers::Answers;
use hookwire::model::{CallbackUrl, FailureKind};

#[tokio::test]
async fn what_is_forbidden_now_is_not_reached_over_an_old_connection() {
    let scene = Scene::set().await;
    let settings = scene.builder().allow_network("127.0.0.0/8").resolver(Answers::always(&["127.0.0.1"]));
    let (transport, url) = (built(settings.clone()), scene.url(HOST));
    let clone = transport.clone();
    assert_eq!(send(&transport, &url).await.expect("allowed"), StatusCode::OK);
    transport.reconfigure(settings.clone().deny_network("127.0.0.1")).expect("valid");
    for transport in [&transport, &clone] {
        assert_eq!(send(transport, &url).await.expect_err("denied").kind(), FailureKind::Refused);
    }
    let parsed = CallbackUrl::parse(&url).expect("valid");
    let checked = hookwire::transport::Transport::check(&transport, &parsed).await;
    assert_eq!(checked.expect_err("denied").kind(), FailureKind::Refused);
    assert_eq!(scene.receiver.requests().len(), 1);
    clone.reconfigure(settings).expect("valid");
    assert_eq!(send(&transport, &url).await.expect("allowed again"), StatusCode::OK);
    assert_eq!(scene.receiver.connections().await, 2, "none is kept over a change");
}

#[tokio::test]
async fn a_name_is_looked_up_anew_after_a_change() {
    let scene = Scene::set().await;
    let answers = Answers::in_turn(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let settings = scene.builder().allow_loopback().resolver(answers);
    let transport = built(settings.clone());
    for _ in 0..3 {
        send(&transport, &scene.url(HOST)).await.expect("over one connection");
    }
    transport.reconfigure(settings).expect("valid");
    let error = send(&transport, &scene.url(HOST)).await.expect_err("it leads inside by now");
    assert_eq!(error.kind(), FailureKind::Refused);
}

#[tokio::test]
async fn trust_that_is_withdrawn_is_gone() {
    let scene = Scene::set().await;
    let settings = hookwire::transport::HttpTransport::builder().allow_loopback();
    let transport = built(settings.clone().trust_pem(scene.identity.pem()));
    send(&transport, &scene.url("127.0.0.1")).await.expect("trusted");
    transport.reconfigure(settings).expect("valid");
    let error = send(&transport, &scene.url("127.0.0.1")).await.expect_err("no longer trusted");
    assert_eq!(error.kind(), FailureKind::TlsUntrusted);
}

#[tokio::test]
async fn settings_with_a_fault_change_nothing() {
    let scene = Scene::set().await;
    let settings = scene.builder().allow_loopback();
    let transport = built(settings.clone());
    transport.reconfigure(settings.deny_network("everything")).expect_err("no network");
    send(&transport, &scene.url("127.0.0.1")).await.expect("as before");
}
