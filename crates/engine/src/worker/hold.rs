//! Leases while they are held: renewed in time, and followed when others change them.

use std::sync::Arc;

use domain::code::Code;
use domain::id::{Seq, Token};
use domain::store::Result;
use domain::store::{Command, Leased, Request};
use domain::task::spec::Work;
use domain::task::state::State;
use rustc_hash::FxHashMap;

use super::dispatch::Dispatch;
use super::house::{House, notice};
use crate::engine::trouble;
use crate::execute::files::Files;

impl Dispatch {
    /// A lease counts from when it was asked for. What a busy store gave out late may be somebody else's by now: it is
    /// renewed before anything is begun, and left where that is refused.
    pub(super) async fn still_held(
        &mut self,
        mut leased: Vec<Leased>,
        mut asked: i64,
        house: &House,
    ) -> Vec<Leased> {
        let late = domain::time::millis(notice(self.options.lease));
        let clock = Arc::clone(&self.engine.clock);
        let is_late = |asked| clock.now().mono - asked > late;
        while !leased.is_empty() && (is_late(asked) || !house.launcher.is_covered()) {
            // Otherwise the guard would end what begins for the sake of what it has ended before.
            self.renew(house).await;
            if !house.launcher.is_covered() {
                return Vec::new();
            }
            let now = self.engine.now();
            asked = now.mono;
            let (ttl, progress) = (None, None);
            let renew = Command::Renew { ttl, progress };
            let requests = leased
                .iter()
                .map(|lease| self.holder(lease.token, renew.clone()))
                .collect();
            let replies = self
                .engine
                .store
                .change(&self.engine.project, requests, now)
                .await;
            leased = match replies {
                Ok(replies) => leased
                    .into_iter()
                    .zip(replies)
                    .filter_map(|(lease, reply)| reply.is_ok().then_some(lease))
                    .collect(),
                Err(refusal) => {
                    trouble(&refusal, "leases that came late could not be renewed");
                    Vec::new()
                }
            };
        }
        leased
    }

    /// Renews every lease, with the latest progress, and tells the guard how long that holds.
    pub(super) async fn renew(&mut self, house: &House) {
        self.read_progress().await;
        let renew = |token, progress| self.holder(token, Command::Renew { ttl: None, progress });
        let under_way = self
            .slots
            .values()
            .map(|slot| renew(slot.token, slot.progress.clone()));
        let held = self.ahead.tokens().map(|token| renew(token, None));
        let seqs: Vec<Seq> = self.slots.keys().copied().collect();
        let requests: Vec<Request> = under_way.chain(held).collect();
        let (now, begun) = (self.engine.now(), self.engine.clock.now());
        if !requests.is_empty() {
            let told = self
                .engine
                .store
                .change(&self.engine.project, requests, now)
                .await;
            let replies = match told {
                Ok(replies) => replies,
                Err(refusal) => {
                    trouble(&refusal, "leases could not be renewed");
                    return;
                }
            };
            // Before the promise below, which lets live what is started from then on.
            for (seq, reply) in seqs.iter().zip(&replies) {
                let is_lost = matches!(reply, Err(refusal) if refusal.code == Code::LeaseLost);
                if let (true, Some(slot)) = (is_lost, self.slots.get(seq)) {
                    slot.job.steering.cancel();
                }
            }
        }
        self.steer = self.holds_any();
        house.promise(begun.mono);
    }

    /// Reads how far the commands say they are, together and beside this loop.
    async fn read_progress(&mut self) {
        let commands = self
            .slots
            .values()
            .filter(|slot| matches!(slot.job.spec.work, Work::Shell(_) | Work::Argv(_)));
        let files: Vec<(Token, Files)> = commands
            .map(|slot| (slot.token, self.commands.files(&slot.job)))
            .collect();
        if files.is_empty() {
            return;
        }
        let read = move || -> Vec<_> {
            files
                .iter()
                .map(|(token, files)| (*token, files.progress()))
                .collect()
        };
        let read = tokio::task::spawn_blocking(read).await;
        for (token, progress) in read.unwrap_or_default() {
            let slot = self.slots.get_mut(&token.seq);
            if let Some(slot) = slot.filter(|slot| slot.token == token) {
                slot.progress = progress;
            }
        }
    }

    /// Looks at what others did to this worker's leases: cancelled and lost ones are stopped, suspended ones
    /// are halted, resumed ones go on.
    pub(super) async fn follow_leases(&mut self) -> Result<()> {
        self.steer = false;
        let held = match self
            .engine
            .store
            .leased(&self.engine.project, Some(&self.id))
            .await
        {
            Ok(held) => held,
            Err(refusal) => {
                trouble(&refusal, "leases could not be read");
                return Ok(());
            }
        };
        let states: FxHashMap<Seq, (Token, State)> = held
            .into_iter()
            .map(|held| (held.token.seq, (held.token, held.state)))
            .collect();
        let mut resumed = Vec::new();
        for (seq, slot) in &self.slots {
            match states.get(seq).filter(|(token, _)| *token == slot.token) {
                Some((_, State::Running | State::Assigned)) => {
                    slot.job.steering.suspend(false);
                    resumed.push(slot.token);
                }
                Some((_, State::Suspended)) => slot.job.steering.suspend(true),
                _ => {
                    slot.job.steering.cancel();
                    resumed.push(slot.token);
                }
            }
        }
        let gone = self.ahead.give_up(|held| {
            let seen = states
                .get(&held.leased.token.seq)
                .filter(|(token, _)| *token == held.leased.token);
            held.suspended = matches!(seen, Some((_, State::Suspended)));
            matches!(seen, Some((_, State::Assigned | State::Suspended)))
        });
        self.hand_back(gone);
        let (back, still): (Vec<_>, Vec<_>) = std::mem::take(&mut self.held_back)
            .into_iter()
            .partition(|(token, _)| resumed.contains(token));
        self.held_back = still;
        for (token, finish) in back {
            self.settle(token, finish);
        }
        Ok(())
    }

    /// Whether others could change anything that this worker holds.
    pub(super) fn holds_any(&self) -> bool {
        !self.slots.is_empty() || !self.ahead.is_empty()
    }
}
