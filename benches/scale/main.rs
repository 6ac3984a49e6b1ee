//! What a chat of so many users takes, and which limit it meets first.
//!
//! Prints the tables of `docs/capacity.md`. Costs are in `costs.rs`, machines and settings in
//! `machines.rs`, people in `population.rs`: it takes no options, because a figure that was changed
//! belongs into the page too.

mod costs;
mod machines;
mod population;
mod dice;
mod parts;
mod commits;
mod traffic;
mod storm;
mod plan;
mod report;

fn main() {
    print!("{}", report::tables());
}
