//! The cases of the fault matrix: endpoint × contract × fault × moment × new or warm process.

use tests::{Contract, Moment, NetworkFault as Fault};

/// An endpoint, and how it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    Ready,
    List,
    /// The changes feed.
    Changes,
    Get,
    Create,
    /// With an idempotency key.
    CreateOnce,
    Update,
    Patch,
    /// Sets `completed`, in the envelope contract.
    Complete,
    /// Toggles `completed`, in the plain contract.
    Flip,
    /// With an idempotency key.
    FlipOnce,
    Delete,
    /// With an idempotency key.
    DeleteOnce,
}

/// What an endpoint does in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It only reads.
    Read,
    /// It writes, and must be carried out exactly once if it succeeds.
    Write,
}

/// How often a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Times {
    Once,
    /// Each time, until the response has arrived.
    Always,
}

/// One request, and the fault that happens to it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub contract: Contract,
    pub endpoint: Endpoint,
    pub tls: bool,
    /// Whether the process has handled a request before.
    pub warm: bool,
    pub fault: Fault,
    pub moment: Moment,
    pub times: Times,
}

impl Endpoint {
    pub const fn function(self) -> &'static str {
        match self {
            Endpoint::Ready => "health",
            Endpoint::List => "list-tasks",
            Endpoint::Changes => "list-changes",
            Endpoint::Get => "get-task",
            Endpoint::Create | Endpoint::CreateOnce => "create-task",
            Endpoint::Update => "update-task",
            Endpoint::Patch => "patch-task",
            Endpoint::Complete | Endpoint::Flip | Endpoint::FlipOnce => "complete-task",
            Endpoint::Delete | Endpoint::DeleteOnce => "delete-task",
        }
    }

    pub const fn kind(self) -> Kind {
        match self {
            Endpoint::Ready | Endpoint::List | Endpoint::Changes | Endpoint::Get => Kind::Read,
            Endpoint::Create
            | Endpoint::CreateOnce
            | Endpoint::Update
            | Endpoint::Patch
            | Endpoint::Complete
            | Endpoint::Flip
            | Endpoint::FlipOnce
            | Endpoint::Delete
            | Endpoint::DeleteOnce => Kind::Write,
        }
    }

    pub const fn has_key(self) -> bool {
        matches!(self, Endpoint::CreateOnce | Endpoint::FlipOnce | Endpoint::DeleteOnce)
    }

    pub fn of(contract: Contract) -> &'static [Endpoint] {
        use Endpoint::{
            Changes, Complete, Create, CreateOnce, Delete, DeleteOnce, Flip, FlipOnce, Get, List, Patch,
            Ready, Update,
        };
        match contract {
            Contract::Envelope => {
                &[Ready, List, Changes, Get, Create, CreateOnce, Update, Patch, Complete, Delete, DeleteOnce]
            }
            Contract::Plain => &[List, Changes, Get, Create, CreateOnce, Update, Flip, FlipOnce, Delete],
        }
    }
}

impl Case {
    /// All cases. Bytes are lost or flipped only over TLS: PostgreSQL's protocol has no checksums, so without
    /// TLS neither side could notice.
    pub fn all() -> Vec<Case> {
        use Fault::{Close, Corrupt, Delay, Drop, Reset, Stall};
        use Moment::{BeforeResponse, BeforeStatement, Connect, Login, MidResponse, MidStatement, Tls};
        use Times::{Always, Once};
        let plain_moments = [Connect, Login, BeforeStatement, MidStatement, BeforeResponse, MidResponse];
        let tls_moments = [Tls, Login, BeforeStatement, MidStatement, BeforeResponse, MidResponse];
        let plain_faults = [(Reset, Once), (Reset, Always), (Close, Once), (Stall, Once), (Delay, Once)];
        let tls_faults = [(Drop, Once), (Corrupt, Once)];

        let mut happenings = Vec::new();
        for (fault, times) in plain_faults {
            happenings.extend(plain_moments.map(|moment| (false, moment, fault, times)));
            happenings.push((true, Tls, fault, times));
        }
        for (fault, times) in tls_faults {
            happenings.extend(tls_moments.map(|moment| (true, moment, fault, times)));
        }

        let mut cases = Vec::new();
        for contract in Contract::BOTH {
            for &endpoint in Endpoint::of(contract) {
                for warm in [false, true] {
                    for &(tls, moment, fault, times) in &happenings {
                        // The response to a ping is too short to be cut in the middle.
                        if endpoint != Endpoint::Ready || moment != MidResponse {
                            cases.push(Case { contract, endpoint, tls, warm, fault, moment, times });
                        }
                    }
                }
            }
        }
        cases
    }

    /// Whether the fault happens while the function connects.
    pub fn while_connecting(&self) -> bool {
        matches!(self.moment, Moment::Connect | Moment::Tls | Moment::Login)
    }

    /// Whether the case mostly waits for a timeout.
    pub fn waits(&self) -> bool {
        matches!(self.fault, Fault::Stall | Fault::Drop)
    }

    /// Whether the request must succeed (`true`), must get 503 (`false`), or either is fine (`None`).
    pub fn must_succeed(&self) -> Option<bool> {
        match (self.fault, self.times) {
            (Fault::Delay, _) => Some(true),
            (_, Times::Always) => Some(false),
            // The function retries once, and finds out whether the first attempt was carried out.
            (Fault::Reset | Fault::Close, _) => Some(true),
            // It waits for 1 s, and then tries another connection.
            (Fault::Stall, _) if self.endpoint == Endpoint::Ready => None,
            // A new process tries to connect before it takes the request, and again for the request.
            (Fault::Stall, _) => Some(self.while_connecting() && !self.warm),
            (Fault::Drop | Fault::Corrupt, _) => None,
        }
    }
}
