//! An address that leads to several servers in turn: each connection goes to the next, as a balancer in front of them
//! would send it. The way can be blocked, so that nothing gets through and nobody is told, or cut.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Where a connection can lead.
#[derive(Clone)]
pub enum Target {
    /// A server on loopback.
    Tcp(SocketAddr),
    /// One on a socket of the file system.
    Unix(PathBuf),
}

/// What happens to bytes on their way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// They wait.
    Blocked,
    /// Their connections end, and new ones at once.
    Cut,
}

/// The address, gone when dropped.
pub struct Forwarder {
    address: SocketAddr,
    targets: Arc<Mutex<Vec<Target>>>,
    way: watch::Sender<Way>,
    task: JoinHandle<()>,
}

impl Forwarder {
    /// An address that leads nowhere yet.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (targets, way) = (Arc::new(Mutex::new(Vec::new())), watch::Sender::new(Way::Open));
        let task = tokio::spawn(accept(listener, Arc::clone(&targets), way.subscribe()));
        Self { address, targets, way, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections lead to these in turn.
    pub fn lead_to(&self, targets: impl IntoIterator<Item = Target>) {
        *self.targets.lock().expect("no holder panics") = targets.into_iter().collect();
    }

    /// Nothing gets through, and nobody is told.
    pub fn block(&self) {
        self.way.send_replace(Way::Blocked);
    }

    /// Connections end, those that are there and new ones.
    pub fn cut(&self) {
        self.way.send_replace(Way::Cut);
    }

    /// What waited gets through, and whatever comes.
    pub fn open(&self) {
        self.way.send_replace(Way::Open);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, targets: Arc<Mutex<Vec<Target>>>, way: watch::Receiver<Way>) {
    for turn in 0.. {
        let Ok((client, _)) = listener.accept().await else { return };
        let target = {
            let targets = targets.lock().expect("no holder panics");
            targets.get(turn % targets.len().max(1)).cloned()
        };
        let Some(target) = target.filter(|_| *way.borrow() != Way::Cut) else { continue };
        let way = way.clone();
        tokio::spawn(async move {
            match target {
                Target::Tcp(address) => join(client, TcpStream::connect(address).await, way).await,
                Target::Unix(path) => join(client, UnixStream::connect(path).await, way).await,
            }
        });
    }
}

/// Carries bytes both ways until one side ends or the way is cut.
async fn join<S: AsyncRead + AsyncWrite>(client: TcpStream, server: std::io::Result<S>, way: watch::Receiver<Way>) {
    let Ok(server) = server else { return };
    let _best_effort = client.set_nodelay(true);
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    let mut cut = way.clone();
    tokio::select! {
        () = carry(from_client, to_server, way.clone()) => {}
        () = carry(from_server, to_client, way) => {}
        _cut = cut.wait_for(|way| *way == Way::Cut) => {}
    }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut way: watch::Receiver<Way>) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if way.wait_for(|way| *way != Way::Blocked).await.is_err() || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
