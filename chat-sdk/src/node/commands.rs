//! The commands of one connection: begun in order, at work together, answered in order.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{StreamExt, stream::FuturesOrdered};

use super::{Node, position_check};
use crate::{
    bus::Topic,
    conversation::{
        amend::Amend,
        peers::Setting,
        send::{Draft, To},
    },
    hub::Mailbox,
    model::{ClientKey, ConversationId, Kind, Marker, Seq, UserId},
    policy::Verdict,
    protocol::{Code, Command, CommandId, Encoded, Problem, SendTo, ServerFrame},
    sabotage::{self, Defect},
};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a command leads to.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// Its reply.
    pub(super) reply: Option<ServerFrame>,
    /// The connection watches these users from now on.
    pub(super) watching: Option<Vec<UserId>>,
}

/// A command that has been begun: what comes after it may begin too.
enum Begun {
    Finished(Finished),
    AtWork(Boxed<Finished>),
}

enum Waiting {
    Run(Option<CommandId>, Command),
    Reply(ServerFrame),
}

/// What is at work. Empty, it is a null pointer.
#[derive(Default)]
pub(super) struct Commands(Option<Box<Inner>>);

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    beginning: Option<Boxed<Begun>>,
    at_work: FuturesOrdered<Boxed<Finished>>,
}

impl Commands {
    pub(super) fn run(&mut self, id: Option<CommandId>, command: Command) {
        self.0.get_or_insert_default().waiting.push_back(Waiting::Run(id, command));
    }

    pub(super) fn reply(&mut self, frame: ServerFrame) {
        self.0.get_or_insert_default().waiting.push_back(Waiting::Reply(frame));
    }

    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| {
            inner.waiting.len() + usize::from(inner.beginning.is_some()) + inner.at_work.len()
        })
    }

    /// The next one that is finished. Pending also when there is none.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        node: &Arc<Node>,
        user: &UserId,
        mailbox: &Arc<Mailbox>,
    ) -> Poll<Finished> {
        let Some(inner) = &mut self.0 else { return Poll::Pending };
        inner.begin_waiting(cx, node, user, mailbox);
        match inner.at_work.poll_next_unpin(cx) {
            Poll::Ready(Some(finished)) => Poll::Ready(finished),
            Poll::Ready(None) | Poll::Pending => {
                if inner.waiting.is_empty() && inner.beginning.is_none() && inner.at_work.is_empty()
                {
                    self.0 = None;
                }
                Poll::Pending
            }
        }
    }
}

impl Inner {
    fn begin_waiting(
        &mut self,
        cx: &mut Context<'_>,
        node: &Arc<Node>,
        user: &UserId,
        mailbox: &Arc<Mailbox>,
    ) {
        loop {
            if let Some(beginning) = &mut self.beginning {
                match beginning.as_mut().poll(cx) {
                    Poll::Pending => return,
                    Poll::Ready(begun) => {
                        self.beginning = None;
                        self.at_work.push_back(match begun {
                            Begun::AtWork(future) => future,
                            Begun::Finished(finished) => Box::pin(std::future::ready(finished)),
                        });
                    }
                }
            }
            let next = if sabotage::on(Defect::Unordered) {
                self.waiting.pop_back()
            } else {
                self.waiting.pop_front()
            };
            match next {
                None => return,
                Some(Waiting::Reply(frame)) => {
                    let finished = Finished { reply: Some(frame), ..Finished::default() };
                    self.at_work.push_back(Box::pin(std::future::ready(finished)));
                }
                Some(Waiting::Run(id, command)) => {
                    metrics::counter!("chat_commands_total", "command" => command.name())
                        .increment(1);
                    let (node, user, mailbox) = (node.clone(), user.clone(), mailbox.clone());
                    self.beginning = Some(Box::pin(begin(node, user, mailbox, id, command)));
                }
            }
        }
    }
}

async fn begin(
    node: Arc<Node>,
    user: UserId,
    mailbox: Arc<Mailbox>,
    id: Option<CommandId>,
    command: Command,
) -> Begun {
    match command {
        Command::Send { key, to, message, files } => {
            let to = match to {
                SendTo::User(user) => To::User(user),
                SendTo::Conversation(conversation) => To::Conversation(conversation),
            };
            let draft = Draft { from: Some(user), to, key: Some(key.clone()), message, files };
            match node.begin_send(draft).await {
                Err(why) => Begun::Finished(refused(id, Some(key), (&why).into())),
                Ok(sending) => Begun::AtWork(Box::pin(async move {
                    match sending.await {
                        Err(why) => refused(id, Some(key), (&why).into()),
                        Ok(sent) => Finished {
                            reply: Some(ServerFrame::Ack {
                                id,
                                key,
                                conversation: sent.event.conversation,
                                seq: sent.event.seq,
                                at: sent.event.at,
                                duplicate: sent.duplicate,
                            }),
                            ..Finished::default()
                        },
                    }
                })),
            }
        }
        Command::Amend { key, conversation, message, amendment } => {
            let amend = Amend { by: Some(user), conversation, message, key, amendment };
            match node.begin_amend(amend).await {
                Err(why) => Begun::Finished(refused(id, None, (&why).into())),
                Ok(amending) => Begun::AtWork(Box::pin(async move {
                    match amending.await {
                        Err(why) => refused(id, None, (&why).into()),
                        Ok(_) => done(id),
                    }
                })),
            }
        }
        Command::Mark { conversation, received, read } => {
            let marker =
                Marker { received: received.unwrap_or_default(), read: read.unwrap_or_default() };
            match node.begin_mark(&user, conversation, marker) {
                Err(why) => Begun::Finished(refused(id, None, (&why).into())),
                Ok(marking) => Begun::AtWork(Box::pin(async move {
                    match marking.await {
                        Err(why) => refused(id, None, (&why).into()),
                        Ok(_) => done(id),
                    }
                })),
            }
        }
        Command::Typing { conversation, on } => {
            Begun::Finished(type_(&node, &user, &mailbox, id, conversation, on).await)
        }
        Command::Watch { users } => Begun::Finished(watch(&node, &user, id, users).await),
        Command::Sync { conversation, after } => {
            Begun::Finished(sync(&node, &mailbox, id, conversation, after).await)
        }
        // The session keeps renewals to itself.
        Command::Auth { .. } => Begun::Finished(done(id)),
    }
}

fn done(id: Option<CommandId>) -> Finished {
    Finished { reply: id.map(|id| ServerFrame::Done { id }), ..Finished::default() }
}

fn refused(id: Option<CommandId>, key: Option<ClientKey>, problem: Problem) -> Finished {
    Finished { reply: Some(ServerFrame::Error { id, key, problem }), ..Finished::default() }
}

async fn type_(
    node: &Arc<Node>,
    user: &UserId,
    mailbox: &Arc<Mailbox>,
    id: Option<CommandId>,
    conversation: ConversationId,
    on: bool,
) -> Finished {
    if !mailbox.follows(conversation) {
        // A signal into nowhere: of a conversation that was left, or never was.
        return match id {
            Some(id) => refused(Some(id), None, Problem::of(Code::NotFound)),
            None => Finished::default(),
        };
    }
    // In a channel thousands listen, and most cannot write. What is not known is not passed on either.
    match node.in_time(node.peers.of(&node.ports, conversation)).await {
        Ok(Some(Setting::Shared(Kind::Channel)) | None) | Err(_) => return done(id),
        Ok(Some(Setting::Shared(_) | Setting::Direct(..))) => {}
    }
    let frame = Encoded::text(&ServerFrame::Typing { conversation, user: user.clone(), on });
    node.signal(conversation, &frame, Some(mailbox));
    node.send_to_bus(Topic::Conversation(conversation), frame.json());
    done(id)
}

async fn watch(
    node: &Arc<Node>,
    viewer: &UserId,
    id: Option<CommandId>,
    mut users: Vec<UserId>,
) -> Finished {
    users.sort_unstable();
    users.dedup();
    let mut watching = Vec::with_capacity(users.len());
    for user in users {
        // Who may not see is not told so: they see somebody who is never there.
        if node.ports.policy.may_see_presence(viewer, &user).await == Verdict::Allow {
            watching.push(user);
        }
    }
    Finished { watching: Some(watching), ..done(id) }
}

async fn sync(
    node: &Arc<Node>,
    mailbox: &Arc<Mailbox>,
    id: Option<CommandId>,
    conversation: ConversationId,
    after: Seq,
) -> Finished {
    let Some(head) = node.shards.of(conversation).head(conversation) else {
        return refused(id, None, Problem::of(Code::NotFound));
    };
    if !mailbox.follows(conversation) {
        return refused(id, None, Problem::of(Code::NotFound));
    }
    let mut after = after;
    if after > head {
        // The client may know of an event before our feed does. Or of one that never was.
        if let Err(why) = position_check::compare(node, &[conversation]).await {
            return refused(id, None, (&why).into());
        }
        let head = node.shards.of(conversation).head(conversation).unwrap_or(head);
        if after > head {
            mailbox.put(Encoded::text(&ServerFrame::Reset { conversation, head }));
            after = head;
        }
    }
    // Both at once, and not with the reply, which waits for those before it: a connection that is
    // behind without knowing so would take the next resume token for its own.
    if node.shards.of(conversation).set_behind(conversation, mailbox) {
        mailbox.fell_behind(conversation, after);
    }
    done(id)
}
