/*
 * The protocol of the ring, for Spin: every interleaving of two senders, their deaths and a receiver on a tiny ring.
 *
 * What the producer and the consumer in channel/ring/ do to shared memory is here statement by statement: each
 * access is a step of its own, and a sender may be killed between any two. Run it by `deno task model`.
 *
 * Left out: whatever is not the protocol (lengths in bytes, descriptors, spinning, time-outs of the caller). Memory is
 * sequentially consistent here: all accesses that order anything are Atomics, or plain stores before one of them.
 *
 * A wait that ends by the clock (a look at a gap) can end here as soon as the look would find something. So a state in
 * which nothing can move any more is one in which somebody would sleep, or check in vain, without end: `Judge` sees it.
 *
 * Words in CAPITALS that begin with NO_ or that say another order remove one safeguard each. With any of them Spin must
 * find a counterexample; the list is in model.ts. "pair:" and a name stand at two accesses that the other side does the
 * other way round, as in the code and in docs/internals.md.
 */

#define SENDERS 2
#ifndef BLOCKS
#define BLOCKS 4            /* of the ring, a power of two */
#endif
#ifndef POSITIONS
#define POSITIONS 32        /* stands for 2^32: positions wrap around */
#endif
#ifndef START
#define START 30            /* so that positions wrap around early */
#endif
#ifndef MESSAGES_0
#define MESSAGES_0 2
#endif
#ifndef MESSAGES_1
#define MESSAGES_1 2
#endif
#ifndef LARGEST
#define LARGEST 2           /* blocks of the largest message */
#endif
#ifdef LOANS
#define SLOTS (SENDERS + 1) /* slot s is sender s's own, the last is that of sender 0's loan */
#else
#define SLOTS SENDERS
#endif

#define INDEX(p) ((p) & (BLOCKS - 1))
#define WRAP(p) ((p) & (POSITIONS - 1))
#define POSITIVE(d) (WRAP(d) != 0 && WRAP(d) < POSITIONS / 2)
#define NEGATIVE(d) (WRAP(d) >= POSITIONS / 2)
#define TAG(s, q) (1 + (s) * 16 + (q))
#define MESSAGES(s) ((s) == 0 -> MESSAGES_0 : MESSAGES_1)

#ifdef IDLE                 /* sender 0 idles while the other sends */
#define MAY_GO_ON(s) ((s == 0 && (seq == 0 || idle[1])) || (s == 1 && committed[0] == 1))
#else
#define MAY_GO_ON(s) true
#endif

/* --- Shared memory: see channel/ring/layout.ts --- */
byte TAIL = START, HEAD = START;
byte BELL;                  /* 0, or the ticket of the receiver's wait */
bool SPACE;
short word[BLOCKS];          /* 0, n > 0: a message of n blocks, n < 0: padding of -n blocks */
byte data[BLOCKS];
byte owner[SLOTS];          /* 0 free, else 1 + the sender */
byte claim_position[SLOTS], claim_blocks[SLOTS];
#ifdef RECEIVER_DIES
byte READ = START;
#endif

/* --- The kernel --- */
bool alive[SENDERS], left[SENDERS];
bool bell_byte;             /* the receiver's doorbell can be read */
bool room_byte[SENDERS];    /* so can the sender's own */
bool bell_sent[SENDERS];    /* the receiver can have the write end of it */
#define ALL_GONE ((!alive[0] || left[0]) && (!alive[1] || left[1]))

/* --- What only the proof sees --- */
byte held[SENDERS];         /* the ticket that a sender has read from BELL and not used yet */
byte committed[SENDERS], received[SENDERS];
#ifdef LOANS
byte expected[SENDERS];
#endif
bool asleep[SENDERS];       /* waits for room */
bool idle[SENDERS];         /* will do nothing more */
bool receiver_asleep;
byte open_position[SLOTS], open_blocks[SLOTS]; /* claims that are not committed, by sender: s, and SENDERS + s for its loan */
#define MINE (slot >= SENDERS -> SENDERS + s : s)
byte position = START;      /* the receiver's, of the next record */
#ifdef RECEIVER_DIES
bool receiver_killed;
byte deaths;
#endif
bool finished;              /* the receiver has seen the end of all senders */

/* channel/ring/record_writer.ts, commit(): looks at BELL, and rings: the byte before the flag, and the flag of that very wait.
 * pair: commit/BELL, after the word was stored; pair: byte/BELL. */
inline wake(s) {
  if
  :: d_step { BELL == 0 -> skip }
  :: d_step { BELL != 0 -> held[s] = BELL };
#ifdef FLAG_BEFORE_BYTE
    d_step { if :: BELL == held[s] -> BELL = 0 :: else fi };
    d_step { bell_byte = true; held[s] = 0 }
#else
    bell_byte = true;
#ifdef NO_TICKET
    d_step { BELL = 0; held[s] = 0 }
#else
    d_step { if :: BELL == held[s] -> BELL = 0 :: else fi; held[s] = 0 }
#endif
#endif
  fi
}

proctype Sender(byte s) {
  byte seq, blocks, tail, head, limit, slot, i;
  byte loan_at, loan_blocks, loan_tag; /* a claim that stays open while another is made */
  bool armed, claimed, no_room;

  {
#ifdef TAKE_OVER
    /* ProducerSlots.claim(): the second sender takes the slot of the first, which is dead; "being taken" is its own already. */
    if
    :: s == 1 -> idle[1] = true; atomic { !alive[0] -> idle[1] = false }
    :: else
    fi;
    owner[0] = 1 + s;
    claim_blocks[0] = 0;
#define OWN 0
#else
#define OWN s
    owner[s] = 1 + s;
#endif
    limit = TAIL;

    do
    :: atomic {
        seq < MESSAGES(s) && MAY_GO_ON(s) ->
        slot = OWN;
#ifdef LOANS
        if
        :: s == 0 && seq == 0 -> slot = SENDERS; owner[SENDERS] = 1
        :: else
        fi;
#endif
        if
        :: blocks = 1
#if LARGEST > 1
        :: blocks = LARGEST
#endif
        fi
      };

      do /* --- tryClaim() --- */
      :: atomic {
          !claimed ->
          no_room = false;
          tail = TAIL;
#ifdef IDLE
#ifndef LIMIT_IS_KEPT
          limit = tail            /* a new turn of the event loop: nothing is known */
#endif
#endif
        };
        do
        :: atomic { POSITIVE(tail + blocks - limit) -> head = HEAD }; /* --- #refreshLimit(); pair: word/HEAD, pair: SPACE/HEAD --- */
          tail = TAIL;
          do
          :: atomic { WRAP(tail - head) > BLOCKS -> head = HEAD }; tail = TAIL
          :: atomic { WRAP(tail - head) <= BLOCKS -> break }
          od;
#ifdef WARM
          if
          :: atomic { INDEX(tail) >= 2 && WRAP(tail - head) + blocks <= INDEX(tail) -> claim_position[OWN] = tail };
            claim_blocks[OWN] = BLOCKS - INDEX(tail); /* back to the first blocks */
            if
            :: d_step {
                TAIL == tail ->
                TAIL = WRAP(tail + BLOCKS - INDEX(tail));
                open_position[s] = tail;
                open_blocks[s] = BLOCKS - INDEX(tail)
              };
              d_step { word[INDEX(tail)] = -(BLOCKS - INDEX(tail)); open_blocks[s] = 0 };
              d_step { tail = TAIL; limit = WRAP(head + BLOCKS); head = 0 };
              goto again
            :: d_step { TAIL != tail -> skip };
#ifndef RECORD_OF_A_LOST_SWAP
              claim_blocks[OWN] = 0
#endif
            fi
          :: else
          fi;
#endif
          atomic { limit = WRAP(head + BLOCKS); head = 0 };
          if
          :: atomic { WRAP(limit - tail) >= blocks -> tail = TAIL }
          :: atomic {
              WRAP(limit - tail) < blocks ->
              no_room = true;
#ifndef RECORD_OF_A_FULL_RING
              claim_blocks[slot] = 0;
#endif
              break
            }
          fi;
#ifdef WARM
again:    skip
#endif
        :: atomic {
            !POSITIVE(tail + blocks - limit) ->
#ifndef RECORD_AFTER_CLAIM /* pair: record/TAIL */
            claim_position[slot] = tail
#endif
          };
#ifndef RECORD_AFTER_CLAIM
          claim_blocks[slot] = blocks;
#endif
          if
          :: atomic {
              TAIL == tail ->
              TAIL = WRAP(tail + blocks);
              open_position[MINE] = tail;
              open_blocks[MINE] = blocks;
              claimed = true
#ifndef RECORD_AFTER_CLAIM
              ; break
#endif
            }
#ifdef RECORD_AFTER_CLAIM
            ; claim_position[slot] = tail;
            claim_blocks[slot] = blocks;
            break
#endif
          :: atomic { TAIL != tail -> tail = TAIL }
          fi
        od;

        if
        :: atomic { claimed -> break }
        :: atomic { no_room && loan_blocks != 0 -> break } /* trySend: to wait for oneself would be a mistake */
#ifdef NO_SECOND_LOOK_FOR_ROOM
        :: no_room && loan_blocks == 0 ->
#else
        :: atomic { no_room && armed && loan_blocks == 0 -> asleep[s] = true; tail = 0 };
          atomic { room_byte[s] -> room_byte[s] = false; asleep[s] = false; armed = false }
        :: no_room && !armed && loan_blocks == 0 -> /* --- RoomWait.arm(); pair: bell/SPACE, pair: SPACE/HEAD --- */
#endif
#ifdef SPACE_BEFORE_ITS_BELL
          SPACE = true;
          bell_sent[s] = true;
#else
          bell_sent[s] = true;
          SPACE = true;
#endif
#ifndef NO_RING_BY_WHO_WAITS /* for what the dead have claimed, or committed and not rung for */
          wake(s);
#endif
#ifdef NO_SECOND_LOOK_FOR_ROOM
          atomic { asleep[s] = true; tail = 0 };
          atomic { room_byte[s] -> room_byte[s] = false; asleep[s] = false }
#else
          armed = true
#endif
        fi
      od;

      if
      :: claimed ->
#ifdef COMMIT_BEFORE_COPY
        d_step { word[INDEX(tail)] = blocks; open_blocks[MINE] = 0; committed[s]++ };
#endif
        if
        :: atomic {
            slot >= SENDERS -> /* the loan has its place; its blocks are filled below */
            loan_at = tail; loan_blocks = blocks; loan_tag = TAG(s, seq); seq++
          }
        :: atomic { slot < SENDERS -> i = 0 };
          do
          :: d_step { i < blocks -> data[INDEX(tail + i)] = TAG(s, seq); i++ }
          :: atomic {
              i == blocks ->
              i = 0;
              seq++;
#ifndef COMMIT_BEFORE_COPY
              word[INDEX(tail)] = blocks;
              open_blocks[MINE] = 0;
              committed[s]++;
#endif
              break /* pair: commit/record: the next claim record comes after the word */
            }
          od;
#ifdef NO_RING_AT_COMMIT
          skip
#else
          wake(s)
#endif
        fi
      :: else
      fi;
#ifdef LOANS
      if
      :: loan_blocks != 0 && (slot < SENDERS || seq == MESSAGES(s)) -> /* Loan.commit() */
        i = 0;
        do
        :: d_step { i < loan_blocks -> data[INDEX(loan_at + i)] = loan_tag; i++ }
        :: atomic {
            i == loan_blocks ->
            word[INDEX(loan_at)] = loan_blocks; open_blocks[SENDERS + s] = 0; committed[s]++;
            i = 0; loan_at = 0; loan_blocks = 0; loan_tag = 0;
            break
          }
        od;
        wake(s);
        claim_blocks[SENDERS + s] = 0
      :: loan_blocks == 0 || !(slot < SENDERS || seq == MESSAGES(s))
      fi;
#endif
      d_step { blocks = 0; tail = 0; armed = false; claimed = false; no_room = false }
    :: atomic { seq == MESSAGES(s) -> seq = 0; limit = 0; slot = 0; break }
    od;

    /* Whether it closes now, or stays and says nothing more. */
    if
    :: claim_blocks[OWN] = 0;
      owner[OWN] = 0;
      d_step { left[s] = true; idle[s] = true }
    :: idle[s] = true
    fi
  } unless {
    d_step {
      !alive[s] ->
      seq = 0; blocks = 0; tail = 0; head = 0; limit = 0; slot = 0; i = 0; loan_at = 0; loan_blocks = 0; loan_tag = 0;
      armed = false; claimed = false; no_room = false
    }
  }
}

/* Ends senders at any moment. */
proctype Death() {
  do
  :: d_step { alive[0] && !left[0] -> alive[0] = false; asleep[0] = false; held[0] = 0; idle[0] = true }
#ifndef ONE_DIES
  :: d_step { alive[1] && !left[1] -> alive[1] = false; asleep[1] = false; held[1] = 0; idle[1] = true }
#endif
#ifdef RECEIVER_DIES
  :: d_step { deaths == 0 && !finished -> deaths = 1; receiver_killed = true; receiver_asleep = false }
#endif
  od
}

/* channel/ring/record_reader.ts, #publish(); pair: SPACE/HEAD */
inline publish() {
#ifdef SPACE_BEFORE_HEAD
  wanted = SPACE;
  HEAD = position;
  if
  :: atomic { wanted -> wanted = false };
#else
  HEAD = position;
  if
  :: SPACE ->
#endif
#ifdef BELLS_BEFORE_SPACE /* pair: bell/SPACE */
    d_step { got[0] = bell_sent[0]; got[1] = bell_sent[1] };
    SPACE = false;
#else
    SPACE = false;
    d_step { got[0] = bell_sent[0]; got[1] = bell_sent[1] };
#endif
    d_step {
      if :: got[0] -> room_byte[0] = true :: else fi;
      if :: got[1] -> room_byte[1] = true :: else fi;
      got[0] = false;
      got[1] = false
    }
  :: else
  fi
}

/* #pass() and #publish(): what is received, or padding, is given back; pair: READ/word, pair: word/HEAD. */
inline give_back(blocks) {
#ifdef HEAD_BEFORE_WORD
  position = WRAP(position + blocks);
  publish();
  word[INDEX(position - blocks)] = 0;
#else
#ifdef READ_AFTER_WORD
  word[INDEX(position)] = 0;
#endif
#ifdef RECEIVER_DIES
  d_step { READ = WRAP(position + blocks); received[from] = received[from] + counts };
#endif
  d_step { word[INDEX(position)] = 0; position = WRAP(position + blocks) };
  publish();
#endif
}

/* Whether a living sender has recorded a claim at the head: then a check of the gap finds nothing to skip. */
#define HOLDS(slot) (owner[slot] != 0 && alive[owner[slot] - 1] && claim_blocks[slot] != 0 && claim_position[slot] == position)
#ifdef LOANS
#define HELD (HOLDS(0) || HOLDS(1) || HOLDS(2))
#else
#define HELD (HOLDS(0) || HOLDS(1))
#endif
bool has_gap;               /* the receiver waits by the clock, too */
#define LOOK_FINDS (word[INDEX(position)] != 0 || !HELD)
#ifdef RECEIVER_DIES
#define CAN_WAKE (bell_byte || (has_gap && LOOK_FINDS)) /* a named ring: nobody is told of the end of the senders */
#else
#define CAN_WAKE (bell_byte || ALL_GONE || (has_gap && LOOK_FINDS))
#endif

proctype Receiver() {
  short found;
  byte ticket, i, tail, end, gap, from, recorded;
  bool wanted, got[2], last, hung_up, counts, trimmed;

#ifdef RECEIVER_DIES
begin:
  { /* the constructor, #resume(): goes on where the last one stopped; pair: READ/word */
    atomic { tail = READ; end = HEAD };
    do
    :: d_step { end != tail -> word[INDEX(end)] = 0; end = WRAP(end + 1) }
    :: atomic { end == tail -> end = 0; break }
    od;
    HEAD = tail;
    d_step { position = tail; tail = 0 };
    BELL = 0;
#endif

next:
  if
  :: atomic {
      word[INDEX(position)] > 0 ->
      found = word[INDEX(position)];
      assert(WRAP(TAIL - HEAD) <= BLOCKS && WRAP(TAIL - position) >= found); /* else it would report Corrupt */
#ifdef HEAD_BEFORE_READING
      HEAD = WRAP(position + found);
#endif
      from = data[INDEX(position)];
      i = 1
    };
    do
    :: atomic { i < found -> assert(data[INDEX(position + i)] == from); i++ } /* whole */
    :: atomic {
        i == found ->
        i = 0;
        tail = (from - 1) & 15;
        from = (from - 1) >> 4;
#ifdef LOANS
        assert(tail >= expected[from]); /* a loan that dies with its sender is left out */
        expected[from] = tail + 1;
#else
        assert(tail == received[from]); /* in order, none twice, none left out */
#endif
        tail = 0;
#ifdef RECEIVER_DIES
        counts = true;
#else
        received[from]++;
#endif
        break
      }
    od;
    give_back(found);
    d_step { from = 0; found = 0; counts = false };
    goto next
  :: atomic {
      word[INDEX(position)] < 0 ->
      found = -word[INDEX(position)];
      assert(WRAP(TAIL - position) >= found)
    };
    give_back(found);
    found = 0;
    goto next
  :: atomic { word[INDEX(position)] == 0 && last -> goto recover }
  :: word[INDEX(position)] == 0 && !last
  fi;

#ifdef TRIM
  /* Reclaim.run(): an empty ring is claimed as a whole meanwhile. */
  if
  :: skip
  :: d_step { TAIL == position && !trimmed -> trimmed = true; TAIL = WRAP(position + BLOCKS) };
    d_step { word[0] = 0; word[BLOCKS - 1] = 0; data[0] = 0; data[BLOCKS - 1] = 0 };
    position = WRAP(position + BLOCKS);
    publish()
  fi;
#endif

#ifdef WARM
  /* Reclaim.#rewind(): an empty ring goes on at its first blocks. */
  if
  :: skip
  :: atomic { TAIL == position && INDEX(position) > 0 -> TAIL = WRAP(position + BLOCKS - INDEX(position)) };
    position = WRAP(position + BLOCKS - INDEX(position));
    publish()
  fi;
#endif

  /* --- ConsumerWait.arm(); pair: commit/BELL --- */
#ifdef GAP_BEFORE_FLAG
  has_gap = TAIL != position;
#endif
  d_step { /* a number that no sender holds: the real counter comes round after 2^30 waits */
    ticket = 1;
    do
    :: ticket == held[0] || ticket == held[1] -> ticket++
    :: else -> break
    od;
    BELL = ticket;
    ticket = 0
  };
#ifndef GAP_BEFORE_FLAG
  has_gap = TAIL != position;
#endif
#ifndef NO_SECOND_LOOK
  if
  :: atomic { word[INDEX(position)] != 0 -> has_gap = false };
    BELL = 0;
    goto next
  :: d_step { word[INDEX(position)] == 0 -> receiver_asleep = true }
  fi;
#else
  receiver_asleep = true;
#endif
  /* --- waits, and clears the flag itself; pair: byte/BELL --- */
  if
  :: d_step { bell_byte -> bell_byte = false; receiver_asleep = false }
#ifndef RECEIVER_DIES
  :: d_step { ALL_GONE && !bell_byte -> hung_up = true; receiver_asleep = false }
#endif
  :: d_step { has_gap && LOOK_FINDS -> receiver_asleep = false }
  fi;
  BELL = 0;
#ifdef NO_LAST_LOOK
  if :: hung_up -> goto done :: else fi;
#endif
  if
  :: atomic { hung_up -> last = true; has_gap = false; goto next }
  :: atomic { !hung_up && !has_gap -> goto next }
  :: atomic { !hung_up && has_gap -> has_gap = false }
  fi;
  if
  :: atomic { word[INDEX(position)] != 0 -> goto next }
  :: word[INDEX(position)] == 0
  fi;

recover: /* --- recover(); pair: record/TAIL, pair: commit/record --- */
  atomic { tail = TAIL; end = position };
  do
  :: d_step { end != tail && word[INDEX(end)] == 0 -> end = WRAP(end + 1) }
  :: atomic { end == tail || word[INDEX(end)] != 0 -> gap = WRAP(end - position); break }
  od;
  if
  :: atomic { gap == 0 && end == tail -> tail = 0; end = 0; if :: last -> goto done :: else -> goto next fi }
  :: atomic { gap == 0 && end != tail -> tail = 0; end = 0; goto next }
  :: atomic { gap != 0 -> i = 0; tail = 0; end = 0 }
  fi;
#ifndef NO_LOOK_AT_CLAIM_RECORDS
  do
  :: atomic { i < SLOTS && !last -> recorded = claim_blocks[i] };
    if
    :: atomic { owner[i] != 0 && recorded != 0 -> recorded = WRAP(claim_position[i] - position) };
      atomic {
        if
        :: recorded < gap && owner[i] != 0 && alive[owner[i] - 1] -> gap = recorded
        :: else
        fi;
        i++; recorded = 0
      }
    :: atomic { owner[i] == 0 || recorded == 0 -> i++; recorded = 0 }
    fi
  :: atomic { i == SLOTS || last -> i = 0; break }
  od;
#endif
#ifndef NO_SECOND_LOOK_AT_THE_GAP
  do
  :: atomic { i < gap && word[INDEX(position + i)] != 0 -> gap = 0; i = 0; goto next }
  :: atomic { i < gap && word[INDEX(position + i)] == 0 -> i++ }
  :: atomic { i == gap -> i = 0; break }
  od;
#endif
  if
  :: atomic { gap == 0 -> goto next }
  :: d_step {
      gap != 0 ->
      i = 0;
      do /* only the dead are skipped */
      :: i < SLOTS ->
        assert(!(open_blocks[i] != 0 && alive[i & (SENDERS - 1)] && WRAP(open_position[i] - position) < gap));
        i++
      :: else -> break
      od;
      i = 0;
#ifdef RECEIVER_DIES
      READ = WRAP(position + gap);
#endif
      position = WRAP(position + gap);
      gap = 0
    }
  fi;
  publish();
  goto next;

done:
  finished = true;
#ifdef RECEIVER_DIES
  } unless {
    d_step {
      receiver_killed ->
      receiver_killed = false;
      found = 0; ticket = 0; i = 0; tail = 0; end = 0; gap = 0; from = 0; recorded = 0; wanted = false;
      got[0] = false; got[1] = false; has_gap = false; last = false; hung_up = false; counts = false
    };
    goto begin
  }
#endif
}

/* Nobody can move any more, unless somebody dies. */
#define STUCK(s) (idle[s] || (asleep[s] && !room_byte[s]))
#define QUIET (STUCK(0) && STUCK(1) && (finished || (receiver_asleep && !CAN_WAKE)))

proctype Judge() {
  do
  :: d_step {
      QUIET ->
      /* No whole message is left lying, but that of a sender that died before it rang: it comes with the next event. */
      assert((received[0] == committed[0] || !alive[0]) && (received[1] == committed[1] || !alive[1]));
      assert(!asleep[0] && !asleep[1]) /* nobody waits for room: the receiver has taken everything */
    }
  od
}

init {
  atomic {
    alive[0] = true;
    alive[1] = true;
    run Sender(0);
    run Sender(1);
#ifndef NOBODY_DIES
    run Death();
#endif
    run Receiver();
    run Judge()
  }
}
