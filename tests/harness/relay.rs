//! A relay between functions and database that can reset a client and deliver its request later, or drop the
//! response.
//!
//! It does not parse what it relays, so it works the same over TLS. A cut applies only to a connection that
//! was open before the cut was armed: such a connection has logged in, so the next thing it sends is a
//! request.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    time::{sleep, timeout},
};

/// How long a side must send nothing for its message to count as complete.
const SILENCE: Duration = Duration::from_millis(100);

/// What happens to a request. In both cases the client is reset, and the server does not notice.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// The client is reset as soon as it has sent the request. The request reaches the server after this
    /// delay.
    Request(Duration),
    /// The request reaches the server at once, but the response never reaches the client.
    Response,
}

/// A relay, which runs until the tokio runtime ends.
pub struct Relay {
    /// The address to which clients connect.
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    armed: Mutex<Option<Armed>>,
    /// Whether new connections must wait.
    closed: watch::Sender<bool>,
    accepted: AtomicUsize,
}

struct Armed {
    cut: Cut,
    /// Connections with this number or a higher one are too new to be cut.
    accepted: usize,
    delivered: oneshot::Sender<()>,
}

impl Relay {
    /// Starts a relay on 127.0.0.1 in front of a server on 127.0.0.1.
    pub async fn start(server_port: u16) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a free port"), server_port)
    }

    /// Starts a relay on this listener in front of a server on 127.0.0.1.
    pub fn on(listener: TcpListener, server_port: u16) -> Self {
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move { relay(client, server_port, &state).await });
            }
        });
        Self { address, state }
    }

    /// Cuts the next request on a connection that is already open. The receiver is notified when the server
    /// has answered the request.
    pub fn arm(&self, cut: Cut) -> oneshot::Receiver<()> {
        let (delivered, receiver) = oneshot::channel();
        let accepted = self.state.accepted.load(Ordering::SeqCst);
        *self.state.armed() = Some(Armed { cut, accepted, delivered });
        receiver
    }

    /// Accepts new connections, but relays nothing on them until [`Relay::open`] is called.
    pub fn close(&self) {
        self.state.closed.send_replace(true);
    }

    /// Ends what [`Relay::close`] began.
    pub fn open(&self) {
        self.state.closed.send_replace(false);
    }
}

impl State {
    fn armed(&self) -> MutexGuard<'_, Option<Armed>> {
        self.armed.lock().expect("no test panics here")
    }
}

async fn relay(mut client: TcpStream, server_port: u16, state: &State) -> io::Result<()> {
    let number = state.accepted.fetch_add(1, Ordering::SeqCst);
    state.closed.subscribe().wait_for(|closed| !closed).await.map_err(io::Error::other)?;
    let mut server = TcpStream::connect(("127.0.0.1", server_port)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut from_server) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let bytes = &from_client[..read?];
                if bytes.is_empty() {
                    return server.shutdown().await;
                }
                let armed = state.armed().take_if(|armed| number < armed.accepted);
                if let Some(armed) = armed {
                    return cut(client, server, bytes.to_vec(), armed).await;
                }
                server.write_all(bytes).await?;
            }
            read = server.read(&mut from_server) => {
                let bytes = &from_server[..read?];
                if bytes.is_empty() {
                    return client.shutdown().await;
                }
                client.write_all(bytes).await?;
            }
        }
    }
}

/// Cuts a request. `bytes` is what has been read of it.
async fn cut(
    mut client: TcpStream,
    mut server: TcpStream,
    mut bytes: Vec<u8>,
    armed: Armed,
) -> io::Result<()> {
    client.set_zero_linger()?;
    match armed.cut {
        Cut::Request(held) => {
            read_on(&mut client, &mut bytes).await?;
            drop(client);
            sleep(held).await;
            server.write_all(&bytes).await?;
            read_answer(&mut server).await?;
        }
        Cut::Response => {
            server.write_all(&bytes).await?;
            read_answer(&mut server).await?;
            drop(client);
        }
    }
    // The receiver may have been dropped.
    armed.delivered.send(()).ok();
    Ok(())
}

async fn read_answer(server: &mut TcpStream) -> io::Result<()> {
    server.readable().await?;
    read_on(server, &mut Vec::new()).await
}

/// Reads until the other side has sent nothing for [`SILENCE`].
async fn read_on(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    while let Ok(read) = timeout(SILENCE, stream.read_buf(bytes)).await {
        if read? == 0 {
            break;
        }
    }
    Ok(())
}
