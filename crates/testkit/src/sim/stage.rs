//! A world that lives on between runs, for tests of one situation each.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::oracle;
use super::plan::Plan;
use super::run::{Role, Sim, Subject, runtime};
use super::world::{Shared, World};

/// A world and the code under test in it.
pub struct Stage {
    runtime: Runtime,
    sim: Arc<Sim>,
}

impl Stage {
    /// A world as the plan has it before the start.
    pub fn new(plan: Plan, subject: Arc<dyn Subject>) -> Self {
        let runtime = runtime();
        let sim = runtime.block_on(async { Sim::new(plan, subject, None, false) });
        Self { runtime, sim }
    }

    /// Runs capture and delivery while some transactions are written, until all is delivered, and stops them.
    pub fn run(&mut self, transactions: u32) {
        let sim = self.sim.clone();
        self.runtime.block_on(async move {
            let end = CancellationToken::new();
            let main = [Role::Capture, Role::Deliver].map(|role| tokio::spawn(sim.clone().keep(role, end.clone())));
            sim.write(transactions).await;
            sim.rest_or_complain().await;
            end.cancel();
            for task in main {
                let _ = task.await;
            }
        });
    }

    /// Writes some transactions while nothing runs.
    pub fn write(&mut self, transactions: u32) {
        let sim = self.sim.clone();
        self.runtime.block_on(async move { sim.write(transactions).await });
    }

    /// Starts capture and delivery, and tells them to stop after some milliseconds.
    pub fn stop_after(&mut self, delay_ms: u64) {
        let sim = self.sim.clone();
        self.runtime.block_on(async move {
            let end = CancellationToken::new();
            let main = [Role::Capture, Role::Deliver].map(|role| tokio::spawn(sim.clone().keep(role, end.clone())));
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            end.cancel();
            for task in main {
                let _ = task.await;
            }
        });
    }

    /// Runs capture and delivery until one of them says that a person must act, and returns what it says.
    pub fn run_until_refused(&mut self) -> String {
        let (sim, shared) = (self.sim.clone(), self.shared());
        self.runtime.block_on(async move {
            let end = CancellationToken::new();
            let main = [Role::Capture, Role::Deliver].map(|role| tokio::spawn(sim.clone().keep(role, end.clone())));
            let mut report = String::from("nothing was refused");
            for _ in 0..600 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if let Some(refused) = shared.with(|world| world.violations.pop()) {
                    report = refused;
                    break;
                }
            }
            end.cancel();
            for task in main {
                let _ = task.await;
            }
            report
        })
    }

    fn shared(&self) -> Shared {
        self.sim.shared.clone()
    }

    /// A look at the world, or a change of it.
    pub fn world<T>(&mut self, act: impl FnOnce(&mut World) -> T) -> T {
        let shared = self.shared();
        self.runtime.block_on(async move { shared.with(act) })
    }

    /// What the oracle finds wrong.
    pub fn wrong(&mut self) -> Vec<String> {
        let plan = self.sim.plan.clone();
        self.world(|world| oracle::check(world, &plan))
    }
}
