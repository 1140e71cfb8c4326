//! A real network partition: the functions' kernel does not notice it, and keeps retransmitting what they
//! have sent.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tests::{Authority, Network, Options, Proxy, connect, serve_tls};
use tokio::{net::TcpListener, time::sleep};

use super::{BOUND, MARGIN, REPETITIONS, Stage, WITHOUT_KEY, Writers, assert_all, cluster};
use crate::calls::check_success;

/// Packets to the database are lost until all writes have been answered, and for some time after that. Then
/// the network works again, and the kernel sends what it still has, whether or not the function has closed
/// the socket.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_answered_503_during_a_partition_is_never_carried_out() {
    let (network, listener) = match Network::new() {
        Ok(made) => made,
        Err(reason) => {
            return eprintln!("skipped: a network namespace needs root and iproute2: {reason:#}");
        }
    };
    let Some(stage) = Stage::new().await else { return };
    // The functions require TLS for every address that is not a loopback one.
    let authority = Authority::new();
    let superuser = connect(&cluster().await.url("postgres")).await;
    serve_tls(&superuser, &authority.issue(&network.server.to_string(), false)).await;
    let listener = TcpListener::from_std(listener).expect("it does not block");
    let proxy = Proxy::on(listener, cluster().await.port());
    let url = cluster().await.endpoints_url_through(proxy.port, &stage.name);
    let url =
        url.replacen("127.0.0.1", &network.server.to_string(), 1) + "?sslmode=require&application_name=first";

    let mut firsts = Vec::new();
    for _ in 0..REPETITIONS {
        let options = Options::default().with("DATABASE_URL", &url);
        firsts.push(stage.first_with(options.with("DATABASE_CA_CERT", authority.certificate())).await);
    }
    let mut all = Vec::new();
    for (app, endpoint) in firsts.iter().flat_map(|app| WITHOUT_KEY.map(|endpoint| (app, endpoint))) {
        all.push(Writers::new(&stage, app, endpoint).await);
    }
    network.cut();
    let started = Instant::now();
    let attempts = join_all(all.iter().map(Writers::attempt)).await;
    sleep((BOUND + MARGIN).saturating_sub(started.elapsed())).await;
    network.heal();

    let acknowledged = join_all(all.iter().map(async |writers| {
        let acknowledged = writers.acknowledged_write().await?;
        Ok::<_, String>((acknowledged, writers.changes().await))
    }))
    .await;
    // The intervals between retransmissions double; the next two happen within this time.
    sleep(Duration::from_secs(16)).await;
    let mut outcomes = Vec::new();
    for ((writers, attempt), acknowledged) in all.iter().zip(&attempts).zip(acknowledged) {
        let outcome = match acknowledged {
            Ok(_) if attempt.response.status != 503 => {
                Err(format!("answered {} during the partition, expected 503", attempt.response.status))
            }
            Ok((acknowledged, then)) => writers.check(attempt, &then, acknowledged.as_ref()).await,
            Err(refusal) => Err(refusal),
        };
        outcomes.push((format!("{:?}", writers.endpoint), outcome));
    }
    for writers in &all {
        let client = writers.at_first();
        let response = writers.send(&writers.bystander, "after").await;
        check_success(writers.endpoint, &client, &response, &writers.bystander, "after")
            .expect("the network works again");
    }
    assert_all(&outcomes);
}
