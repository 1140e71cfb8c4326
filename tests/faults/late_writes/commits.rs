//! Commits that hang.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::{REPETITIONS, Stage, WITHOUT_KEY, Writers, assert_all, cluster};

/// Makes every commit that changes a task take six seconds while there is a row in `hangs`.
const HANGING_COMMITS: &str = "
    create table public.hangs ();
    create function public.hang() returns trigger language plpgsql security definer as $$
    begin
        if exists (select from public.hangs) then
            perform pg_sleep(6);
        end if;
        return null;
    end
    $$;
    create constraint trigger hang after insert or update or delete on public.tasks
        deferrable initially deferred for each row execute function public.hang()";

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_commit_hangs_answers_503_within_5_seconds_and_is_never_carried_out() {
    let Some(stage) = Stage::new().await else { return };
    let mut firsts = Vec::new();
    for _ in 0..REPETITIONS {
        firsts.push(stage.first(cluster().await.port()).await);
    }
    let mut all = Vec::new();
    for (app, endpoint) in firsts.iter().flat_map(|app| WITHOUT_KEY.map(|endpoint| (app, endpoint))) {
        all.push(Writers::new(&stage, app, endpoint).await);
    }
    stage.superuser.batch_execute(HANGING_COMMITS).await.expect("superusers can create triggers");
    stage.superuser.batch_execute("insert into public.hangs default values").await.expect("inserted");
    let sound_again = async {
        // By then all commits have begun, and none has been canceled.
        sleep(Duration::from_secs(3)).await;
        stage.superuser.batch_execute("delete from public.hangs").await.expect("deleted");
    };
    let trials = join_all(all.iter().map(async |writers| {
        let attempt = writers.attempt().await;
        // By then the canceled call has ended.
        sleep(Duration::from_millis(300)).await;
        let then = writers.changes().await;
        let acknowledged = writers.acknowledged_write().await?;
        sleep(Duration::from_secs(4)).await;
        if attempt.response.status != 503 || attempt.elapsed > Duration::from_secs(5) {
            return Err(format!(
                "answered {} after {:.1?}, expected 503 within 5 s",
                attempt.response.status, attempt.elapsed
            ));
        }
        writers.check(&attempt, &then, acknowledged.as_ref()).await
    }));
    let (outcomes, ()) = tokio::join!(trials, sound_again);
    let names = all.iter().map(|writers| format!("{:?}", writers.endpoint));
    assert_all(&names.zip(outcomes).collect::<Vec<_>>());
}
