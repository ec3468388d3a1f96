/*
 * A channel without a ring yet, for Spin: the holder of the sender's socket and the receiver that has the other one, in
 * every interleaving of their system calls, with the death of either. What channel/ring/ringless*.ts and
 * channel/endpoint/ringless_channel.ts do is here call by call. Run it by `deno task model`.
 *
 * A ring is a queue here, which wakes those who wait: ring.pml is about that. The sockets are Linux's: an end that is closed
 * with something unread in its queue is told to the other one once, before what lies there; the end may be told before
 * what lies there, too; what is closed frees what was on its way to it. A killed process's files are closed in any order.
 *
 * Words in CAPITALS that begin with NO_ or that say another order remove one safeguard each: see model.ts. "pair:" is as in
 * ring.pml.
 */

#define MESSAGES 3          /* of the holder, numbered from 0; only the first is posted */
#define NONE 2
#define MINE 0              /* the ring that the holder makes */
#define THEIRS 1            /* that of the receiver */

mtype = { POST, GROW, BELL, RING, EMPTY, END };

/* --- The kernel --- */
chan to_receiver = [3] of { mtype };
chan to_holder = [3] of { mtype };
bool shut;                  /* the receiver takes nothing any more */
bool receiver_closed, holder_closed;
bool receiver_reset, holder_reset; /* its next call says ECONNRESET, and does nothing */
bool dropped;               /* the posted message is not in the socket any more: SIOCOUTQ tells the holder */
bool has_post;              /* of a GROW: it is in the new ring */

bool bell_made, bell_queued, bell_held, bell_byte; /* the doorbell: who has its ringing end */
#ifdef NO_OTHER_BELL
#define RENEWED false
#else
#define RENEWED ended
#endif
#define HUNG_UP (bell_made && !bell_queued && !bell_held)

chan mine = [MESSAGES] of { byte };
chan theirs = [MESSAGES] of { byte };
bool mine_held, theirs_held, theirs_queued; /* their sending ends */

/* --- What only the proof sees --- */
byte committed, received;
byte produces = NONE, consumes = NONE; /* the ring that either goes on with */
bool holder_dead, receiver_dead;
bool holder_idle;           /* it will do nothing more */
bool holder_waits;          /* for the ring that the receiver is about to send */
bool receiver_gone;         /* it was closed, or died */
bool receiver_asleep, ended, finished; /* ended: it has been woken by the end of its doorbell */
bool in_ring;

/* --- The holder of the sender's socket: channel/ring/ringless_sender.ts, ringless_growth.ts --- */

/* Its socket, and the doorbell's end, in any order. */
inline free_socket() {
  d_step {
    if
    :: !holder_closed && nempty(to_holder) -> receiver_reset = true
    :: holder_closed || empty(to_holder)
    fi;
    do :: to_holder ? _ :: empty(to_holder) -> break od;
    bell_queued = false; theirs_queued = false; holder_reset = false;
    holder_closed = true
  }
}

inline close_socket() {
  if
  :: free_socket(); bell_held = false
  :: bell_held = false; free_socket()
  fi
}

/* #readReplies(): up to a ring. */
inline read_replies() {
  do
  :: d_step { holder_reset -> holder_reset = false }
  :: d_step { !holder_reset && to_holder ? [BELL] -> to_holder ? BELL; bell_queued = false; bell_held = true }
  :: d_step { !holder_reset && to_holder ? [RING] -> to_holder ? RING; theirs_queued = false; theirs_held = true };
    break
  :: atomic { !holder_reset && empty(to_holder) -> break }
  od
}

/* #ringNow(); pair: post/BELL, after the packet was sent. Other clients close a bell that they have rung. */
inline ring_now() {
#ifndef NO_LOOK_AFTER_THE_PACKET
  if :: !bell_held -> read_replies() :: else fi;
#endif
  if
  :: atomic { bell_held -> bell_byte = true }
  :: atomic { bell_held -> bell_byte = true }; bell_held = false
  :: !bell_held
  fi
}

#define REFUSED (holder_reset || shut || receiver_closed)

proctype Holder() {
  byte next;
  bool posted, sent;
  {
    do
    :: produces == NONE && next == 0 -> /* post() */
      read_replies();
      if
      :: atomic { theirs_held -> goto grow }
      :: !theirs_held
      fi;
      if
      :: atomic { REFUSED -> holder_reset = false; goto grow }
      :: d_step { !REFUSED -> to_receiver ! POST; posted = true; next = 1; committed = 1 }
      fi;
      ring_now()
    :: produces == NONE -> goto grow /* a message that cannot be posted, a clone, the capacity, on into another message */
    :: break /* it says nothing more, now */
    :: goto end
    od;
    atomic { holder_idle = true; goto done };

grow: /* grow() */
    read_replies();
    if
    :: atomic { theirs_held -> goto attach }
    :: !theirs_held
    fi;
    /* make(), handOver() */
#ifndef NO_POST_IN_THE_RING
    if
    :: atomic { posted && !dropped -> mine ! 0; has_post = true }
    :: atomic { !posted || dropped -> has_post = false }
    fi;
#endif
    if
    :: atomic { REFUSED -> holder_reset = false; sent = false }
    :: atomic {
        !REFUSED ->
        to_receiver ! GROW;
        sent = true; mine_held = true; produces = MINE;
        assert(consumes != THEIRS)
      }
    fi;
    if
    :: sent ->
      ring_now();
      close_socket();
      goto own
    :: !sent && receiver_closed ->
#ifndef NO_READ_AFTER_THE_HANG_UP
      read_replies();
      if
      :: atomic { theirs_held -> goto attach }
      :: !theirs_held
      fi;
#endif
      assert(receiver_gone); /* else it would be Disconnected from a receiver that is there */
      goto end
    :: !sent && !receiver_closed ->
#ifdef NO_WAIT_FOR_THE_RING
      assert(receiver_gone);
      goto end
#else
      do :: mine ? _ :: empty(mine) -> break od;
      holder_waits = true;
      d_step { nempty(to_holder) || receiver_closed -> holder_waits = false };
      goto grow
#endif
    fi;

attach:
    atomic {
      do :: mine ? _ :: empty(mine) -> break od;
      produces = THEIRS;
      assert(consumes != MINE)
    };
    close_socket();
own:
    do
    :: atomic { produces == MINE && next < MESSAGES -> mine ! next; next++; committed++ }
    :: atomic { produces == THEIRS && next < MESSAGES -> theirs ! next; next++; committed++ }
    :: atomic { holder_idle = true; goto done }
    :: goto end
    od;

end:
    if :: holder_closed :: !holder_closed -> close_socket() fi;
    d_step { mine_held = false; theirs_held = false };
    holder_idle = true;
done:
    holder_dead
  } unless { holder_dead };
  close_socket();
  d_step { mine_held = false; theirs_held = false; holder_waits = false };
  holder_idle = true
}

/* --- The receiver: channel/ring/ringless_receiver.ts, channel/endpoint/ringless_channel.ts --- */

#ifdef NO_SECOND_READ
#define MORE_READS 0
#else
#ifdef NO_THIRD_READ
#define MORE_READS 1
#else
#define MORE_READS 2
#endif
#endif

/* #read(), by receiveWhole(): a packet is copied, then dropped. The kernel looks at the queue, then whether anybody is there. */
inline read() {
  kind = POST;
  do
  :: atomic { kind == END && reads == MORE_READS -> break }
  :: atomic { kind == END && reads < MORE_READS -> reads++; kind = POST }
  :: d_step { kind != END && receiver_reset -> receiver_reset = false; kind = END }
  :: atomic { kind != END && !receiver_reset && to_receiver ? [POST] -> break }
  :: atomic { kind != END && !receiver_reset && to_receiver ? [GROW] -> kind = GROW; break }
  :: atomic { kind != END && !receiver_reset && empty(to_receiver) -> kind = EMPTY };
    if
    :: atomic { shut || holder_closed -> kind = END }
    :: atomic { !shut && !holder_closed -> break }
    fi
  od;
  reads = 0;
  do
  :: atomic { kind == EMPTY || kind == END -> break }
  :: d_step { kind != EMPTY && kind != END && receiver_reset -> receiver_reset = false };
#ifdef NO_SECOND_DROP
    break
#endif
  :: atomic { kind != EMPTY && kind != END && !receiver_reset -> to_receiver ? _; break }
  od;
  if
  :: atomic {
      kind == POST -> assert(!posted); posted = true; pending = true;
#ifdef DROP_WHEN_READ
      dropped = true
#else
      skip
#endif
    }
  :: kind != POST
  fi
}

inline free_receiver() {
  d_step {
    if
    :: !receiver_closed && nempty(to_receiver) -> holder_reset = true
    :: receiver_closed || empty(to_receiver)
    fi;
    do :: to_receiver ? _ :: empty(to_receiver) -> break od;
    receiver_reset = false;
    receiver_closed = true;
    bell_made = false; bell_byte = false
  }
}

/* RinglessBell: pair: post/BELL, before packets are looked for. */
inline send_bell() {
  d_step {
    bell_byte = false; ended = false; bell_made = true;
    if
    :: holder_closed -> receiver_reset = false /* nobody there: the pipe is hung up */
    :: else -> to_holder ! BELL; bell_queued = true
    fi
  }
}

/* giveRing(), whose ring is closed by the kernel if nobody is there. */
inline send_ring() {
  if
  :: atomic { holder_closed -> receiver_reset = false }
  :: atomic { !holder_closed -> to_holder ! RING; theirs_queued = true }
  fi
}

inline take(message) {
  assert(message == received); /* in order, none twice, none left out */
  received++
}

proctype Receiver() {
  mtype kind;
  byte found, reads;
  bool posted, pending;
  {
    kind = EMPTY;
next:
    if
    :: atomic { pending -> pending = false; dropped = true; take(0); goto next }
    :: goto grow /* it is cloned, moved, asked for its capacity, borrowed from */
    :: goto close
    :: !pending -> read()
    fi;
    if
    :: atomic { kind == POST -> goto next }
    :: atomic { kind == GROW -> goto adopt }
    :: atomic { kind == END -> finished = true; free_receiver(); goto done }
    :: kind == EMPTY
    fi;

    /* An asynchronous wait begins, or goes on. */
#ifdef NO_LOOK_AFTER_THE_BELL
    if :: !bell_made -> send_bell() :: else fi;
#else
    if
    :: !bell_made || RENEWED -> send_bell(); goto next
    :: bell_made && !RENEWED
    fi;
#endif
    receiver_asleep = true;
    if
    :: d_step { bell_byte -> bell_byte = false; receiver_asleep = false }
    :: d_step { HUNG_UP && !bell_byte && !ended -> ended = true; receiver_asleep = false }
    :: atomic { receiver_asleep -> receiver_asleep = false; goto grow } /* the program does something else meanwhile */
    :: atomic { receiver_asleep -> receiver_asleep = false; goto close }
    fi;
    goto next;

grow: /* grow(): stop, drain, RING, close */
#ifdef RING_BEFORE_THE_STOP
    send_ring();
#endif
#ifdef DRAIN_BEFORE_THE_STOP
    do
    :: read();
      if :: atomic { kind == GROW -> goto adopt } :: atomic { kind == END || kind == EMPTY -> break } :: kind == POST fi
    od;
    shut = true;
#else
#ifndef NO_STOP
    shut = true;
#endif
    do
    :: if :: pending -> dropped = true :: else fi;
      read();
      if :: atomic { kind == GROW -> goto adopt } :: atomic { kind == END || kind == EMPTY -> break } :: kind == POST fi
    od;
#endif
#ifdef RING_BEFORE_THE_POST
    send_ring();
#endif
#ifdef NO_POST_HANDED_ON
    pending = false;
#endif
    if :: atomic { pending -> theirs ! 0; pending = false } :: !pending fi;
#ifndef RING_BEFORE_THE_POST
#ifndef RING_BEFORE_THE_STOP
    send_ring();
#endif
#endif
    d_step { consumes = THEIRS; assert(produces != MINE) };
    free_receiver();
    goto ring;

adopt: /* #adopt(): what was received before may lie in the ring once more */
    atomic { consumes = MINE; assert(produces != THEIRS && !theirs_queued) };
    free_receiver();
#ifndef NO_SKIP
    if
    :: atomic { has_post && posted && !pending -> mine ? found; assert(found == 0) }
    :: !has_post || !posted || pending
    fi;
#endif
    pending = false;

ring:
    in_ring = true;
more:
    if
    :: atomic { consumes == MINE -> mine ? found; take(found); goto more }
    :: atomic { consumes == THEIRS -> theirs ? found; take(found); goto more }
    :: atomic { consumes == MINE && empty(mine) && !mine_held -> finished = true; goto done }
    :: atomic { consumes == THEIRS && empty(theirs) && !theirs_held && !theirs_queued -> finished = true; goto done }
    :: goto close
    fi;

close:
    in_ring = false;
    receiver_gone = true;
    free_receiver();
done:
    receiver_dead
  } unless { receiver_dead };
  receiver_gone = true;
  free_receiver();
  receiver_asleep = false
}

/* Ends either at any moment. */
proctype Death() {
  do
  :: d_step { !holder_dead -> holder_dead = true; holder_idle = false }
  :: d_step { !receiver_dead -> receiver_dead = true }
  od
}

/* Nobody can move any more, unless somebody dies or does something else. */
#define HOLDER_STUCK (holder_idle || (holder_waits && empty(to_holder) && !receiver_closed))
#define SLEEPS (receiver_asleep && !bell_byte && !(HUNG_UP && !ended))
#define SLEEPS_IN_MINE (in_ring && consumes == MINE && empty(mine) && mine_held)
#define SLEEPS_IN_THEIRS (in_ring && consumes == THEIRS && empty(theirs) && (theirs_held || theirs_queued))
#define RECEIVER_STUCK (finished || (receiver_gone && receiver_closed) || SLEEPS || SLEEPS_IN_MINE || SLEEPS_IN_THEIRS)

proctype Judge() {
  do
  :: d_step {
      HOLDER_STUCK && RECEIVER_STUCK ->
      assert(!holder_waits);
      assert(receiver_gone || received == committed);
      /* The end of the holder is heard of, too. */
      assert(receiver_gone || finished || !holder_closed || mine_held || theirs_held)
    }
  od
}

init {
  atomic {
    run Holder();
    run Receiver();
    run Judge();
    run Death()
  }
}
