//! The Japanese texts of the command line: one row for each command and each argument.
//!
//! The English texts are the documentation comments of the arguments. A test fails when a command
//! or an argument has no row, and when a row names none.

/// What a command does, by its path below `codingworker`.
pub(super) const COMMANDS: &[(&str, &str)] = &[
    (
        "",
        "ラベルの付いたGitHubのIssueを、手元のマシンのコーディングエージェントでプルリクエストにします",
    ),
    (
        "demo",
        "Issueからエージェント、チェック、プルリクエストまでの流れを、このマシンだけで実演します",
    ),
    ("up", "AWSやGitHubを使わずに、キュー、フォージ、ワーカーをこのマシンでまとめて動かします"),
    ("init", "リポジトリ、またはAWS側のTerraformフォルダーを設定します"),
    ("worker", "キューからタスクを受信し、作業します"),
    ("doctor", "ここでワーカーを起動できるか、サンドボックスが何を防ぐかを表示します"),
    ("submit", "タスクをキューに入れます"),
    ("status", "キューと最近の実行を表示します"),
    ("logs", "各実行でプログラムが出力した内容を表示します"),
    ("why", "Issueのタスクがそのような結果になった理由を表示します"),
    ("dlq", "デッドレターキューの内容を確認し、タスクを元のキューに戻します"),
    ("dlq list", "デッドレターキューにあるタスクを表示します（削除はしません）"),
    ("dlq show", "1件のメッセージ全体を表示します"),
    ("dlq redrive", "失敗の原因を解消したあと、タスクを元のキューに戻します"),
    ("dlq purge", "デッドレターキューの内容をすべて削除します"),
    ("queue", "組み込みのキューを動かします"),
    (
        "queue serve",
        "SQS互換のキューを動かします（codingworker-tasksとそのデッドレターキューを作成します）",
    ),
    ("config", "設定ファイルに書けるキーを調べます"),
    ("config reference", "すべてのキーと環境変数の説明をMarkdownで出力します"),
    ("schema", "タスクのメッセージのJSON Schemaを出力します"),
    ("help", "このヘルプ、または指定したコマンドのヘルプを表示します"),
];

/// What an argument is, by the path of its command and its id. The rows of no command are those of
/// arguments that all commands have.
pub(super) const ARGUMENTS: &[(&str, &str, &str)] = &[
    ("", "config", "設定ファイル（省略時はプラットフォームの設定ディレクトリのcodingworker.toml）"),
    ("", "help", "ヘルプを表示します"),
    ("", "version", "バージョンを表示します"),
    (
        "demo",
        "dir",
        "デモのファイルを残すディレクトリ（省略時は一時ディレクトリを使い、最後に削除します）",
    ),
    (
        "demo",
        "agent",
        "使うエージェント（省略時は、Aiderとそのモデルがあればそれを、なければスクリプトを使います）",
    ),
    ("demo", "model", "Aiderで使うモデル"),
    ("demo", "verbose", "各段階だけでなく、起きたことをすべて出力します"),
    ("demo", "json", "JSONで出力します"),
    ("up", "data", "すべてのデータを置くディレクトリ（省略時はデータディレクトリのlocal）"),
    (
        "up",
        "repository",
        "フォージに置くリポジトリ。ない場合は空のリポジトリを作成します。複数回指定できます。\
         省略時は、最初のコミットを含むme/projectを用意します",
    ),
    ("up", "queue_listen", "キューが待ち受けるアドレス"),
    ("up", "region", QUEUE_REGION),
    ("up", "account", QUEUE_ACCOUNT),
    ("up", "no_cooldown", NO_COOLDOWN),
    ("up", "forge_listen", "フォージが待ち受けるアドレス"),
    ("up", "without_sandbox", WITHOUT_SANDBOX),
    (
        "init",
        "directory",
        "設定するリポジトリ（ワークフローと.codingworker.tomlを書き込みます）、\
         またはTerraformフォルダー（terraform.tfvarsを書き込みます）",
    ),
    ("init", "force", "内容の異なる既存のファイルを置き換えます"),
    ("init", "dry_run", "書き込む内容を表示し、何も書き込みません"),
    ("init", "owner", "リポジトリを所有する組織またはユーザー"),
    (
        "init",
        "repositories",
        "Issueをタスクにするリポジトリ（所有者を除いた名前）。複数回指定できます",
    ),
    ("init", "region", "キューのAWSリージョン（既定値: ap-northeast-1）"),
    ("init", "environment", "タグEnvironmentの値（既定値: dev）"),
    ("init", "alarm_email", "アラームの送信先（省略時はアラームを作りません）"),
    ("init", "no_lookup", "トークンがあっても、所有者とリポジトリの番号をGitHubに問い合わせません"),
    ("worker", "once", "1件のメッセージを受信し、最後まで作業して終了します"),
    (
        "worker",
        "drain_seconds",
        "最初のシグナルのあと、実行中のタスクを中断するまで続ける秒数（省略時は設定の値）",
    ),
    ("worker", "without_sandbox", WITHOUT_SANDBOX),
    ("doctor", "verbose", "サンドボックスの境界と制限も、1つずつ表示します"),
    ("doctor", "json", "すべての内容をJSONで出力します"),
    ("submit", "issue", "既存のIssue（owner/repo#N）。ラベルがない場合は付けます"),
    ("submit", "repository", "新しいIssueを作るリポジトリ"),
    ("submit", "title", "新しいIssueのタイトル"),
    ("submit", "body", "新しいIssueの本文"),
    ("submit", "message", "タスクのメッセージを書いたファイル（-は標準入力）"),
    ("submit", "json", "JSONで出力します"),
    ("status", "json", "JSONで出力します"),
    ("status", "runs", "表示する実行の数"),
    (
        "logs",
        "of",
        "codingworker statusに表示される実行の番号、またはIssue（OWNER/NAME#7）。\
         Issueの場合はすべての実行を表示します",
    ),
    ("logs", "since", "この時刻以降に始まった実行だけを表示します（例: 2h、3d、2026-11-24）"),
    ("logs", "follow", "最後の実行が終わるまで表示を続けます"),
    ("why", "issue", "調べるIssue"),
    ("dlq list", "limit", "表示するメッセージの最大数"),
    ("dlq list", "json", "JSONで出力します"),
    ("dlq show", "id", "Issue（OWNER/NAME#7）、メッセージID、またはタスクキー"),
    ("dlq show", "json", "JSONで出力します"),
    (
        "dlq redrive",
        "task",
        "元のキューに戻すタスク（Issueの番号。1件だけ選ぶにはタスクキーまたはメッセージID）",
    ),
    ("dlq redrive", "all", "すべてのタスクを、SQSの機能で元のキューに戻します"),
    ("dlq redrive", "rate", "SQSが1秒間に移動するメッセージの最大数"),
    ("dlq purge", "yes", "削除を承認します"),
    ("queue serve", "data", "メッセージを保存するディレクトリ"),
    (
        "queue serve",
        "listen",
        "待ち受けるアドレス。他のマシンから接続できるアドレスには、\
         CODINGWORKER_QUEUE_ACCESS_KEY_IDと\
         CODINGWORKER_QUEUE_SECRET_ACCESS_KEYで指定するキーの組が必要です",
    ),
    ("queue serve", "region", QUEUE_REGION),
    ("queue serve", "account", QUEUE_ACCOUNT),
    ("queue serve", "no_cooldown", NO_COOLDOWN),
    ("config reference", "language", "出力する言語（省略時は設定の値）"),
];

const WITHOUT_SANDBOX: &str = "設定のsandbox.requireがnoneの場合に、\
                               サンドボックスなしでエージェントとチェックを実行します";

const QUEUE_REGION: &str =
    "キューのARNに含めるAWSリージョン。クライアントはこのリージョンで要求に署名します";

const QUEUE_ACCOUNT: &str = "キューのURLとARNに含めるAWSアカウントの番号";

const NO_COOLDOWN: &str = "SQSが60秒間拒否する操作（PurgeQueueの再実行と、\
                           削除したキューと同じ名前でのCreateQueue）をすぐに受け付けます";

/// The headings above arguments, by their English text.
pub(super) const HEADINGS: &[(&str, &str)] = &[(
    "In a Terraform folder (what is missing is asked for on a terminal)",
    "Terraformフォルダーの場合（不足している値は端末で質問します）",
)];
