/* SPDX-License-Identifier: Apache-2.0
 * topics.c - names and topics: finding an actor, and telling many at once.
 *
 * A thermometer publishes; a display and an alarm listen. Nobody has anybody's address: the
 * topic has a name, and so has the display, which main asks at the end what it shows. */
#include <stdio.h>
#include <string.h>

#include <weft/actor.h>
#include <weft/topic.h>

enum { READINGS = 1000, HOT = 990 };

/* -- Listeners --------------------------------------------------------------------------- */

struct listener {
    bool alarm;
    unsigned heard, missed, latest;
};

struct question {
    weft_request req;
    struct listener shown;
};

static const weft_kind QUESTION = {1, "question", sizeof(struct question), weft_free_msg};

static weft_err listener_init(weft_self *self, void *state, void *arg)
{
    struct listener *listener = state;
    weft_topic *topic = NULL;
    listener->alarm = arg != NULL;
    weft_err err = weft_topic_open_ref(weft_self_rt(self), "temperature", &topic);
    /* At most 32 events that we have not handled: what comes on top is lost, to us alone. */
    if (err == WEFT_OK) err = weft_topic_subscribe(self, topic, 32);
    weft_topic_put(topic); /* the subscription keeps it */
    if (err == WEFT_OK && !listener->alarm)
        err = weft_register(weft_self_rt(self), "display", weft_self_addr(self));
    return err;
}

static weft_verdict listener_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct listener *listener = state;
    (void)self;
    if (msg->kind == &weft_kind_event) {
        const weft_event_msg *event = (const weft_event_msg *)msg;
        memcpy(&listener->latest, weft_buf_bytes(event->payload), sizeof listener->latest);
        listener->heard++;
        listener->missed += event->missed; /* the runtime counted what we were too slow for */
        if (listener->alarm && listener->latest >= HOT) return WEFT_STOP;
        return WEFT_DONE;
    }
    ((struct question *)msg)->shown = *listener;
    weft_reply((weft_request *)msg, WEFT_OK);
    return WEFT_KEPT;
}

static weft_err listen(weft_rt *rt, const char *name, bool alarm)
{
    weft_addr *addr = NULL;
    weft_spec spec = {.name = name,
                      .arg = alarm ? rt : NULL,
                      .state_size = sizeof(struct listener),
                      .init = listener_init,
                      .handle = listener_handle};
    weft_err err = weft_spawn(rt, &spec, &addr);
    weft_addr_put(addr); /* it lives on: the runtime knows it */
    return err;
}

/* -- The thermometer: any thread may publish ------------------------------------------------ */

static weft_err measure(weft_rt *rt)
{
    weft_topic *topic = NULL;
    weft_err err = weft_topic_open_ref(rt, "temperature", &topic);
    for (unsigned i = 1; err == WEFT_OK && i <= READINGS; i++) {
        weft_buf *reading = NULL;
        err = weft_buf_create_copy(&i, sizeof i, &reading);
        if (err != WEFT_OK) break;
        err = weft_topic_publish(topic, reading, NULL, NULL); /* one buffer for all of them */
        weft_buf_unref(reading);
    }
    weft_topic_put(topic);
    return err;
}

/* Asks whoever has the name "display". */
static weft_err look(weft_rt *rt, struct listener *shown)
{
    weft_addr *display = NULL;
    weft_request *reply = NULL;
    bool taken = false;
    weft_err err = weft_whereis_ref(rt, "display", &display);
    if (err != WEFT_OK) return err;
    struct question *question = (struct question *)weft_new(&QUESTION);
    if (question == NULL) err = WEFT_NO_MEMORY;
    else err = weft_call(display, &question->req, weft_rt_after(rt, 10 * WEFT_SEC), &reply, &taken);
    if (err == WEFT_OK) *shown = ((struct question *)reply)->shown;
    if (reply != NULL) weft_drop(&reply->msg);
    else if (question != NULL && !taken) weft_drop(&question->req.msg);
    weft_addr_put(display);
    return err;
}

int main(void)
{
    weft_rt *rt = NULL;
    struct listener shown = {.heard = 0};
    weft_err err = weft_rt_create(&rt);
    if (err == WEFT_OK) err = listen(rt, "display", false);
    if (err == WEFT_OK) err = listen(rt, "alarm", true);
    if (err == WEFT_OK) err = measure(rt);
    if (err == WEFT_OK) err = look(rt, &shown);
    if (rt != NULL) weft_rt_stop(rt, WEFT_NEVER);
    weft_rt_destroy(rt);
    if (err != WEFT_OK) fprintf(stderr, "topics: %s\n", weft_strerror(err));
    printf("the display shows %u; it heard %u of %d and knows that it missed %u before that\n",
           shown.latest, shown.heard, READINGS, shown.missed);
    /* Everything up to the latest was heard or told as missed. */
    return err == WEFT_OK && shown.heard + shown.missed == shown.latest ? 0 : 1;
}
