//! The client against workers that do as a test says, over real sockets.

mod bodies;
mod fake;
mod files;
mod frames;
mod limits;
mod relief;
mod replies;
mod retries;
mod roots;
mod tickets;
