//! The black-box tests: one folder per resource (tasks, lists, changes, users), and one module for each topic
//! that concerns all of them.

mod changes;
mod custom_resource;
mod dev;
mod docs_endpoint;
mod documents;
mod endpoints;
mod erase;
mod etags;
mod events;
mod failures;
mod gateway;
mod headers;
mod health;
mod idempotency;
mod input;
mod large_requests;
mod layers;
mod limits;
mod lists;
mod load;
mod logs;
mod metrics;
mod migrate;
mod round_trips;
mod sql_functions;
mod tasks;
mod tokens;
mod walls;
