//! A proxy between functions and database that makes a connection fail at a chosen moment, or delivers a
//! request after its client is gone.

mod connection;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    time::sleep,
};

use connection::connection;

/// A fault of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NetworkFault {
    /// Both ends are reset.
    Reset,
    /// Both ends are closed in the normal way.
    Close,
    /// Nothing more is passed on, without an error at either end. The server's end is closed 5 s later.
    Stall,
    /// Bytes are lost, and later ones are passed on.
    Drop,
    /// Bits of one byte are flipped.
    Corrupt,
    /// Bytes are held back for [`DELAY`] and then passed on.
    Delay,
}

/// When a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// A connection has been accepted.
    Connect,
    /// The client begins the TLS handshake.
    Tls,
    /// The login has succeeded, and the server reports it.
    Login,
    /// The client sends a call: nothing of it has been passed on.
    BeforeStatement,
    /// The client sends a call: all but its last 8 bytes have been passed on.
    MidStatement,
    /// The server has committed the call: nothing of its response has been passed on.
    BeforeResponse,
    /// The server has committed the call: all but the last 8 bytes of its response have been passed on.
    MidResponse,
}

impl Moment {
    /// The moments that every connection has.
    pub const ALL: [Self; 6] = [
        Self::Connect,
        Self::Login,
        Self::BeforeStatement,
        Self::MidStatement,
        Self::BeforeResponse,
        Self::MidResponse,
    ];

    /// The moments of a call.
    pub const OF_A_CALL: [Self; 4] =
        [Self::BeforeStatement, Self::MidStatement, Self::BeforeResponse, Self::MidResponse];
}

/// What happens to a request whose client is reset without the server noticing.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// The client is reset as soon as it has sent the request. The request reaches the server after this
    /// delay.
    Request(Duration),
    /// The request reaches the server at once, but the response never reaches the client.
    Response,
}

/// Duration of a [`NetworkFault::Delay`].
pub const DELAY: Duration = Duration::from_millis(300);

/// How long a side must send nothing before its message counts as complete.
const SILENCE: Duration = Duration::from_millis(100);

/// A proxy on a port of its own, which runs until the tokio runtime ends.
pub struct Proxy {
    /// The port on which functions reach the database through it.
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    armed: Mutex<Option<Armed>>,
    armed_cut: Mutex<Option<ArmedCut>>,
    /// A message that the client gets instead of the server's response to a call.
    reply: Mutex<Option<Vec<u8>>>,
    /// Whether new connections must wait.
    closed: watch::Sender<bool>,
    /// Tells all connections to close.
    hang_up: watch::Sender<()>,
    /// Tells all connections to pass on nothing more.
    forget: watch::Sender<()>,
    /// The numbers of the open connections.
    connections: Mutex<BTreeSet<usize>>,
    round_trips: AtomicUsize,
}

struct Armed {
    fault: NetworkFault,
    moment: Moment,
    times: usize,
}

struct ArmedCut {
    cut: Cut,
    /// The connections that were open when the cut was armed. They have logged in, so the next thing that
    /// they send is a request.
    connections: BTreeSet<usize>,
    delivered: oneshot::Sender<()>,
}

impl Proxy {
    /// Starts a proxy in front of a port on 127.0.0.1.
    pub async fn start(server_port: u16) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a free port"), server_port)
    }

    /// Starts a proxy that listens here, in front of a port on 127.0.0.1.
    pub fn on(listener: TcpListener, server_port: u16) -> Self {
        let port = listener.local_addr().expect("the listener is bound").port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((client, _)) = listener.accept().await {
                let (state, mut hang_up) = (Arc::clone(&shared), shared.hang_up.subscribe());
                let mut forget = shared.forget.subscribe();
                number += 1;
                lock(&state.connections).insert(number);
                tokio::spawn(async move {
                    tokio::select! {
                        // An error is expected: connections are made to fail.
                        _ = connection(client, number, server_port, &state, &mut forget) => {}
                        _ = hang_up.changed() => {}
                    }
                    lock(&state.connections).remove(&number);
                });
            }
        });
        Self { port, state }
    }

    /// Makes a fault happen at the next `times` moments of this kind.
    pub fn arm(&self, fault: NetworkFault, moment: Moment, times: usize) {
        *lock(&self.state.armed) = Some(Armed { fault, moment, times });
    }

    /// Cancels the faults that have not happened yet, and returns their number.
    pub fn disarm(&self) -> usize {
        lock(&self.state.armed).take().map_or(0, |armed| armed.times)
    }

    /// Cuts the next request on a connection that is already open. The receiver is notified when the server
    /// has responded to the request.
    pub fn cut_next(&self, cut: Cut) -> oneshot::Receiver<()> {
        let (delivered, receiver) = oneshot::channel();
        let connections = lock(&self.state.connections).clone();
        *lock(&self.state.armed_cut) = Some(ArmedCut { cut, connections, delivered });
        receiver
    }

    /// Accepts new connections, but passes nothing on until [`Proxy::open`] is called.
    pub fn close(&self) {
        self.state.closed.send_replace(true);
    }

    /// Ends what [`Proxy::close`] began.
    pub fn open(&self) {
        self.state.closed.send_replace(false);
    }

    /// Answers calls with an error of this severity and SQLSTATE instead of passing them on. `None` ends
    /// that.
    pub fn answer_transactions(&self, error: Option<(&str, &str)>) {
        *lock(&self.state.reply) = error.map(|(severity, code)| {
            let fields = format!("S{severity}\0V{severity}\0C{code}\0Mon purpose\0\0");
            let length = u32::try_from(fields.len() + 4).expect("a short message");
            let mut message = [b"E".as_slice(), &length.to_be_bytes(), fields.as_bytes()].concat();
            if severity == "ERROR" {
                message.extend(b"Z\0\0\0\x05E");
            }
            message
        });
    }

    /// Closes every connection, like a server that shuts down.
    pub async fn hang_up(&self) {
        let connections = lock(&self.state.connections).clone();
        self.state.hang_up.send_replace(());
        while !lock(&self.state.connections).is_disjoint(&connections) {
            sleep(Duration::from_millis(1)).await;
        }
        // A busy kernel needs some time to report this to the other ends.
        sleep(SILENCE).await;
    }

    /// Passes nothing on any more on the connections that exist, without an error for the functions, like a
    /// router that has dropped them from its tables.
    pub fn forget(&self) {
        self.state.forget.send_replace(());
    }

    /// The total number of round trips: how often a client has sent something after the server has.
    pub fn round_trips(&self) -> usize {
        self.state.round_trips.load(Ordering::SeqCst)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread panicked while it held the lock")
}

impl State {
    /// Takes the fault that is due at this moment, if any.
    fn fault(&self, moment: Moment) -> Option<NetworkFault> {
        let mut armed = lock(&self.armed);
        let due = armed.as_mut().filter(|armed| armed.moment == moment)?;
        due.times -= 1;
        let fault = due.fault;
        if due.times == 0 {
            *armed = None;
        }
        Some(fault)
    }

    /// The moment of the armed fault.
    fn moment(&self) -> Option<Moment> {
        lock(&self.armed).as_ref().map(|armed| armed.moment)
    }
}
