//! The black-box suites: one module per endpoint, and one for each matter that concerns them all.

mod complete_task;
mod create_task;
mod custom_resource;
mod delete_task;
mod docs;
mod documents;
mod events;
mod failures;
mod gateway;
mod get_task;
mod health;
mod idempotency;
mod layers;
mod list_tasks;
mod load;
mod logs;
mod metrics;
mod migrate;
mod patch_task;
mod requests;
mod round_trips;
mod several_databases;
mod sql_functions;
mod tokens;
mod update_task;
mod walls;
