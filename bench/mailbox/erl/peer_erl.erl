%% SPDX-License-Identifier: Apache-2.0
%% peer erlang: one process per role, plain ! and selective receive.  The
%% payload is {Msg, From, Seq, T, Body} with a 40-byte binary (copied, as
%% Erlang does), about 64 bytes of user data.
-module(peer_erl).
-export([main/0]).

main() ->
    [Case | Rest] = init:get_plain_arguments(),
    O = opts(Rest, #{name => "erlang", producers => 1, messages => 1000000}),
    #{producers := P, messages := N} = O,
    R = case Case of
        "throughput" -> flow(P, N, false);
        "fanin-burst" -> flow(P, N, true);
        "pingpong" -> pingpong(N);
        "ask" -> ask(P, N)
    end,
    report(O, Case, R),
    halt(0).

opts(["--producers", V | T], O) -> opts(T, O#{producers => list_to_integer(V)});
opts(["--messages", V | T], O) -> opts(T, O#{messages => list_to_integer(V)});
opts(["--name", V | T], O) -> opts(T, O#{name => V});
opts([], O) -> O.

now_ns() -> erlang:monotonic_time(nanosecond).

share(I, P, N) ->
    N div P + (if I < N rem P -> 1; true -> 0 end).

report(#{name := Name, producers := P, messages := N}, Case, {T0, T1, Lat}) ->
    S = (T1 - T0) / 1.0e9,
    io:format("{\"peer\":\"~s\",\"case\":\"~s\",\"producers\":~b,\"messages\":~b,"
              "\"seconds\":~.6f,\"msgs_per_sec\":~b,", [Name, Case, P, N, S, round(N / S)]),
    case Lat of
        [] -> io:format("\"p50_ns\":null,\"p99_ns\":null,\"p999_ns\":null}~n");
        _ ->
            L = list_to_tuple(lists:sort(Lat)),
            Z = tuple_size(L),
            io:format("\"p50_ns\":~b,\"p99_ns\":~b,\"p999_ns\":~b}~n",
                      [element(Z div 2 + 1, L), element(Z * 99 div 100 + 1, L),
                       element(Z * 999 div 1000 + 1, L)])
    end.

body(Seq) -> <<Seq:64, (Seq + 1):64, (Seq + 2):64, (Seq + 3):64, (Seq bxor 16#5555):64>>.

flow(P, N, Burst) ->
    Me = self(),
    C = spawn_opt(fun() ->
            Lat = sink(N, maps:from_list([{I, 0} || I <- lists:seq(0, P - 1)]), Burst, []),
            Me ! {ended, now_ns(), Lat}
        end, [{message_queue_data, off_heap}]),
    Ps = [spawn(fun() ->
            receive go -> ok end,
            Me ! {t0, now_ns()},
            case Burst of
                true -> bursts(C, I, 0, share(I, P, N));
                false -> send(C, I, 0, share(I, P, N))
            end
        end) || I <- lists:seq(0, P - 1)],
    timer:sleep(20),
    [X ! go || X <- Ps],
    T0 = lists:min([receive {t0, T} -> T end || _ <- Ps]),
    receive {ended, T1, Lat} -> {T0, T1, Lat} end.

send(_, _, N, N) -> ok;
send(C, I, S, N) ->
    C ! {msg, I, S, 0, body(S)},
    send(C, I, S + 1, N).

bursts(_, _, N, N) -> ok;
bursts(C, I, S, N) ->
    if S rem 1000 =:= 0 -> receive after 1 -> ok end; true -> ok end,
    C ! {msg, I, S, now_ns(), body(S)},
    bursts(C, I, S + 1, N).

sink(0, _, _, Lat) -> Lat;
sink(N, Next, Burst, Lat) ->
    receive
        {msg, I, S, T, <<_:24/binary, D:64, E:64>>} ->
            D = S + 3,
            E = S bxor 16#5555,
            S = maps:get(I, Next), % crashes when the order is broken
            case Burst of
                true -> sink(N - 1, Next#{I := S + 1}, Burst, [now_ns() - T | Lat]);
                false -> sink(N - 1, Next#{I := S + 1}, Burst, Lat)
            end
    end.

pingpong(N) ->
    Me = self(),
    spawn(fun() ->
        B = spawn(fun() -> pong(0, N) end),
        A = self(),
        timer:sleep(20),
        T0 = now_ns(),
        B ! {msg, A, 0, body(0)},
        {T1, Lat} = ping(B, 0, N, T0, []),
        Me ! {ended, {T0, T1, Lat}}
    end),
    receive {ended, R} -> R end.

ping(B, I, N, T, Lat) ->
    receive
        {msg, _, I, Body} ->
            E = now_ns(),
            if I + 1 < N ->
                    B ! {msg, self(), I + 1, Body},
                    ping(B, I + 1, N, E, [E - T | Lat]);
               true -> {E, [E - T | Lat]}
            end
    end.

pong(N, N) -> ok;
pong(I, N) ->
    receive
        {msg, A, I, Body} ->
            A ! {msg, self(), I, Body},
            pong(I + 1, N)
    end.

ask(P, N) ->
    Me = self(),
    S = spawn(fun() -> serve(N) end),
    Cs = [spawn(fun() ->
            receive go -> ok end,
            T0 = now_ns(),
            {T1, Lat} = client(S, I, 0, share(I, P, N), T0, []),
            Me ! {ended, T0, T1, Lat}
        end) || I <- lists:seq(0, P - 1)],
    timer:sleep(20),
    [C ! go || C <- Cs],
    Rs = [receive {ended, A, B, L} -> {A, B, L} end || _ <- Cs],
    {lists:min([A || {A, _, _} <- Rs]), lists:max([B || {_, B, _} <- Rs]),
     lists:append([L || {_, _, L} <- Rs])}.

serve(0) -> ok;
serve(N) ->
    receive
        {ask, From, Ref, Q, _Body} ->
            From ! {Ref, Q * 3 + 1},
            serve(N - 1)
    end.

client(_, _, N, N, T, Lat) -> {T, Lat};
client(S, I, Q, N, T, Lat) ->
    Ref = make_ref(),
    S ! {ask, self(), Ref, Q, body(Q)},
    receive
        {Ref, A} ->
            A = Q * 3 + 1,
            E = now_ns(),
            client(S, I, Q + 1, N, E, [E - T | Lat])
    end.
