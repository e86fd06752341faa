// Chinese documents from a grammar.
//
//   document     a topic (its things with their classifiers, people, places and verbs), two or three people, several paragraphs
//   sentence     one of the productions in the table at the end of this file, each with an example
//   what position is needed for
//                a noun decides the classifier before it, over adjectives and whole clauses (一家他们昨天看见的新商店); 把 and 被 turn agent and
//                patient round; 他 and 她 agree with the name before; greetings name their floor before or after 你好; sums of two
//                numbers; names, home towns and belongings come back paragraphs later

#include <array>

#include "data/synthetic_choices.h"

namespace locus {
namespace {

// ---- words ----

struct Thing {
    std::string classifier, noun;
};

/// "本书 只猫": a classifier of one character, then the noun.
std::vector<Thing> things(const char* table) {
    constexpr std::size_t character = 3;  // bytes
    std::vector<Thing> result;
    for (const std::string& entry : split(table))
        result.push_back({entry.substr(0, character), entry.substr(character)});
    return result;
}

struct Topic {
    std::vector<Thing> things, people;
    std::vector<std::string> places;
    std::vector<std::string> verbs;  // what its people do to its things; each can follow 把 with 了
};

const std::vector<Topic>& topics() {
    static const std::vector<Topic> table = {
        {things("个苹果 条围巾 盏灯笼 件衬衫 双鞋 把雨伞 块地毯 瓶酱油 袋大米 筐橘子 面镜子 顶帽子 张桌布 串葡萄"),
         things("位顾客 个店员 名搬运工 位裁缝 个小贩 名收银员"), split("市场 商店 商场 仓库 超市 夜市"),
         split("卖掉 买走 包好 称好 摆好 退掉 藏起来 送出去")},
        {things("本书 支铅笔 张地图 块黑板 份试卷 篇作文 把尺子 个书包 幅画 本词典 张课桌 页笔记 枚奖章 盒粉笔"),
         things("位老师 名学生 个孩子 位校长 名图书管理员 位家长"), split("学校 教室 图书馆 操场 走廊 宿舍"),
         split("读完 写完 借走 抄好 交上去 忘掉 收起来 改好")},
        {things("艘船 张渔网 条鱼 面旗 根绳子 个木桶 座灯塔 张海图 只海鸥 把船桨 片贝壳 块船板 盏航灯 个铁锚"),
         things("名水手 位船长 个渔民 名潜水员 位领航员 个商人"), split("码头 海边 港口 岛上 船舱 沙滩"),
         split("修好 装上船 拉上来 绑好 卸下来 丢掉 藏好 检查完")},
        {things("口锅 把刀 个盘子 碗面条 杯茶 块蛋糕 根黄瓜 瓶醋 张菜单 只烤鸭 盘饺子 双筷子 把勺子 锅汤"),
         things("位厨师 名服务员 个客人 位老板 名学徒 位奶奶"), split("厨房 饭馆 餐厅 茶馆 食堂 小吃店"),
         split("吃完 做好 洗干净 端走 切好 尝完 打翻 热好")},
        {things("棵树 朵花 把铁锹 盆兰花 只水壶 片叶子 座花架 条长椅 株玫瑰 颗种子 只蝴蝶 块石头 道篱笆 架梯子"),
         things("位园丁 个邻居 名画家 位老人 个孩子 名游客"), split("花园 果园 公园 温室 院子 草地"),
         split("种好 浇好 剪短 挖出来 搬走 画下来 移走 照顾好")},
        {things(
             "列火车 张车票 个箱子 辆汽车 座桥 条铁轨 只行李箱 份时刻表 盏信号灯 件行李 台机器 扇车窗 辆自行车 张座椅"),
         things("位乘客 名司机 个警察 名列车员 位站长 个旅行家"), split("车站 站台 地铁口 隧道 候车室 路口"),
         split("修好 检查完 弄丢 开走 停好 找到 推走 擦干净")},
        {things("张床 瓶药 支针 份报告 块纱布 条毯子 个枕头 副眼镜 台仪器 盏台灯 把轮椅 张处方 个口罩 件白大褂"),
         things("位医生 名护士 个病人 位专家 名药剂师 位司机"), split("医院 病房 药房 诊所 手术室 大厅"),
         split("拿走 准备好 检查完 收起来 贴好 送过去 换掉 包扎好")},
        {things("张唱片 把吉他 架钢琴 首歌 面鼓 出戏 件戏服 张海报 支笛子 部电影 盏舞台灯 台相机 把二胡 幅布景"),
         things("位演员 名歌手 个观众 位导演 名舞蹈家 位作曲家"), split("剧院 舞台 电影院 后台 音乐厅 录音室"),
         split("演完 唱完 弹好 借走 调好 设计好 挂起来 排练好")},
        {things("封信 张邮票 份文件 把钥匙 张照片 台电脑 部电话 份合同 个信封 本账本 枚印章 支钢笔 份报纸 张名片"),
         things("位经理 名秘书 个律师 位编辑 名记者 个会计"), split("办公室 邮局 银行 会议室 报社 法院"),
         split("签好 寄走 打印好 收好 撕掉 送走 锁起来 翻译好")},
        {things("头牛 匹马 只羊 只鸡 头猪 辆拖拉机 袋麦子 个南瓜 口井 条狗 只鹅 捆稻草 把锄头 块田"),
         things("位农民 个牧人 名兽医 位村长 个孩子 名铁匠"), split("农场 村子 田里 牛棚 河边 磨坊"),
         split("喂饱 赶走 卖掉 牵回来 收好 养大 洗干净 找回来")},
    };
    return table;
}

struct Words {
    std::vector<std::string> surnames = split("王 李 张 刘 陈 杨 赵 黄 周 吴 徐 孙 马 朱 胡 林 郭 何 高 罗");
    std::vector<std::string> women = split("小红 秀英 丽华 静 敏 雪梅 玉兰 芳 晓燕 婷婷 美玲 佳慧 春花 月");
    std::vector<std::string> men = split("建国 伟 小明 志强 军 大海 国庆 明亮 文斌 子轩 海涛 永福 刚 天宇");
    std::vector<std::string> towns =
        split("北京 上海 广州 成都 杭州 西安 南京 武汉 青岛 昆明 苏州 长沙 大连 厦门 桂林 哈尔滨");
    std::vector<std::string> sizes = split("很大的 很小的 长长的 小小的");
    std::vector<std::string> ages = split("新 旧 新买的 用了很久的 崭新的");
    std::vector<std::string> colours = split("红色的 蓝色的 白色的 黑色的 绿色的 黄色的 灰色的 紫色的");
    std::vector<std::string> states = split("很贵 很便宜 坏了 很干净 很脏 很漂亮 不见了 很有用 很旧 很重");
    std::vector<std::string> opinions = split("很贵 很便宜 很漂亮 很旧 很重 很有用 很特别 很普通");
    std::vector<std::string> more = split("贵 便宜 重 轻 大 小 新 旧 漂亮 干净");
    std::vector<std::string> characters =
        split("年轻的 年老的 善良的 聪明的 勇敢的 细心的 害羞的 热心的 严格的 快乐的");
    std::vector<std::string> times = split("今天 昨天 前天 早上 中午 晚上 去年 上个月 星期一 星期三 星期五 周末");
    std::vector<std::string> sides = split("旁边 后面 前面 对面 里面 附近");
    std::vector<Thing> buildings =
        things("家商店 家商场 家银行 家饭馆 座图书馆 所学校 所医院 座桥 座塔 座剧院 间茶馆 间书店 家超市 座博物馆");
    std::vector<Thing> animals = things("只猫 条狗 只鸟 匹马 只兔子 头牛 条蛇 只猴子 条鱼 只青蛙");
    std::vector<std::string> rests = split("坐 睡 躺 趴 站 藏");
    std::vector<std::string> furniture = split("桌子 椅子 床 垫子 屋顶 台阶 沙发 箱子");
    std::vector<std::string> speaking = split("说 回答 小声说 笑着说 大声说 认真地说");
    std::vector<std::string> meeting = split("认识 喜欢 感谢 帮助 等着 看见 想念 相信");
    std::vector<std::string> numerals = split("零 一 二 三 四 五 六 七 八 九 十");
};

const Words& words() {
    static const Words table;
    return table;
}

/// 0 .. 99 in characters; before a classifier 2 is 两.
std::string number(int value, bool before_classifier = false) {
    const auto digit = [](int d) { return words().numerals[static_cast<std::size_t>(d)]; };
    if (value == 2 && before_classifier) return "两";
    if (value <= 10) return digit(value);
    return (value < 20 ? "" : digit(value / 10)) + "十" + (value % 10 == 0 ? "" : digit(value % 10));
}

// ---- one document ----

struct Person {
    std::string name, town;
    bool woman = false;
    Thing belonging;
    std::string colour;
    const char* they() const { return woman ? "她" : "他"; }
};

class ChineseWriter {
public:
    ChineseWriter(std::uint32_t seed, std::uint32_t index)
        : draw_(seed, 1, index), topic_(draw_.of(topics())), people_(static_cast<std::size_t>(draw_.between(2, 3))) {
        for (std::size_t i = 0; i < people_.size(); ++i) people_[i] = new_person(i);
    }

    std::string write();

private:
    ChineseWriter& operator<<(std::string_view text) {
        out_ += text;
        return *this;
    }

    // Parts of sentences.

    Person new_person(std::size_t place);
    const Person& person() { return draw_.of(people_); }
    const Thing& thing() { return draw_.of(topic_.things); }
    const Thing& someone() { return draw_.of(topic_.people); }
    const std::string& place() { return draw_.of(topic_.places); }
    std::string floor() { return draw_.percent(25) ? "楼主" : number(draw_.between(2, 12)) + "楼"; }

    /// What may stand between classifier and noun: adjectives, or a clause, or both.
    void between() {
        if (draw_.percent(25)) clause();
        look();
        if (draw_.percent(20)) *this << draw_.of(words().ages);
    }
    void clause() {
        const Person& who = person();
        *this << (draw_.percent(40) ? who.they() : who.name) << draw_.of(words().times) << "在" << place()
              << (draw_.percent(50) ? "看见的" : "找到的");
    }
    void look() {
        if (draw_.percent(20)) *this << draw_.of(words().colours);
        if (draw_.percent(20)) *this << draw_.of(words().sizes);
    }
    /// 一本旧书, 三只猫
    void some(const Thing& what, int count) {
        *this << number(count, true) << what.classifier;
        between();
        *this << what.noun;
    }
    /// 那本旧书
    void that(const Thing& what) {
        *this << (draw_.percent(60) ? "那" : "这") << what.classifier;
        between();
        *this << what.noun;
    }
    void that_person() {
        const Thing& who = someone();
        *this << "那" << who.classifier;
        if (draw_.percent(30)) *this << draw_.of(words().characters);
        *this << who.noun;
    }
    void anyone() {
        if (draw_.percent(55)) {
            *this << person().name;
        } else {
            that_person();
        }
    }
    void sometimes_when() {
        if (draw_.percent(50)) *this << draw_.of(words().times);
    }

    // Productions; the table below has an example of each.

    void there_is();
    void building_opened();
    void with_ba();
    void with_bei();
    void bought();
    void greeting();
    void greeting_reversed();
    void met_someone();
    void sum_of_numbers();
    void comparison();
    void because();
    void although();
    void question_and_answer();
    void animal_rested();
    void said_that();
    void only_thing();
    void came_from();
    void still_had();

    void introduce(const Person& who);
    void paragraph();

    struct Production {
        std::uint32_t weight;
        void (ChineseWriter::*write)();
    };
    static const std::array<Production, 18> productions;

    Choices draw_;
    const Topic& topic_;
    std::vector<Person> people_;
    std::string out_;
};

/// The people of a document have different names.
Person ChineseWriter::new_person(std::size_t place) {
    Person who;
    who.woman = place % 2 == 0;
    do {
        who.name = draw_.of(
            words().surnames);  // a statement each: the order of evaluation within one is the compiler's choice
        who.name += draw_.of(who.woman ? words().women : words().men);
    } while (place == 2 && who.name == people_[0].name);
    who.town = draw_.of(words().towns);
    who.belonging = thing();
    who.colour = draw_.of(words().colours);
    return who;
}

void ChineseWriter::there_is() {
    *this << place() << draw_.of(words().sides) << "有";
    const Thing& what = thing();
    some(what, draw_.between(1, 9));
}

void ChineseWriter::building_opened() {
    const auto kinds = static_cast<std::uint32_t>(words().buildings.size());
    const std::uint32_t first = draw_.below(kinds), second = (first + 1 + draw_.below(kinds - 1)) % kinds;
    const Thing &old = words().buildings[first], &opened = words().buildings[second];
    *this << draw_.of(words().times) << "那" << old.classifier << "新" << old.noun << draw_.of(words().sides)
          << (draw_.percent(50) ? "开了一" : "建了一") << opened.classifier;
    if (draw_.percent(25)) clause();
    look();
    *this << "新" << opened.noun;
}

void ChineseWriter::with_ba() {
    anyone();
    sometimes_when();
    *this << "把";
    that(thing());
    *this << draw_.of(topic_.verbs) << "了";
}

void ChineseWriter::with_bei() {
    that(thing());
    sometimes_when();
    *this << "被";
    anyone();
    *this << draw_.of(topic_.verbs) << "了";
}

void ChineseWriter::bought() {
    const Person& who = person();
    *this << draw_.of(words().times) << who.name << "在" << place() << (draw_.percent(50) ? "买了" : "看见了");
    const Thing& what = thing();
    some(what, draw_.between(1, 6));
    *this << "，" << who.they() << "觉得" << draw_.of(words().opinions);
}

void ChineseWriter::greeting() { *this << "“" << floor() << "你好！”" << person().name << draw_.of(words().speaking); }

void ChineseWriter::greeting_reversed() {
    *this << person().name << draw_.of(words().speaking) << "：“你好，" << floor() << "”";
}

void ChineseWriter::met_someone() {
    const Person& first = person();
    *this << draw_.of(words().times) << first.name << "出门去" << place() << "，在" << place() << "遇见了";
    that_person();
    *this << "，" << first.they() << draw_.of(words().speaking) << "：“你好，"
          << (draw_.percent(50) ? floor() : first.name) << "”";
}

void ChineseWriter::sum_of_numbers() {
    const int first = draw_.between(2, 30), second = draw_.between(2, 30);
    const Thing &one = thing(), &other = thing();
    *this << person().name << "数了数，" << number(first, true) << one.classifier << one.noun << "和"
          << number(second, true) << other.classifier << other.noun << "，一共" << number(first + second) << "件";
}

void ChineseWriter::comparison() {
    const Thing &one = thing(), &other = thing();
    that(one);
    *this << "比";
    that(other);
    *this << draw_.of(words().more);
}

void ChineseWriter::because() {
    *this << "因为";
    that(thing());
    *this << draw_.of(words().states) << "，所以";
    anyone();
    *this << "没有买";
}

void ChineseWriter::although() {
    const Person& who = person();
    *this << "虽然" << who.name << draw_.of(words().meeting);
    that_person();
    *this << "，但是" << who.they() << "没有去" << place();
}

void ChineseWriter::question_and_answer() {
    const Thing& what = thing();
    that(what);
    *this << "在哪儿？"
          << "那" << what.classifier << what.noun << "在" << place() << draw_.of(words().sides);
}

void ChineseWriter::animal_rested() {
    const Thing& animal = draw_.of(words().animals);
    *this << number(draw_.between(1, 3), true) << animal.classifier;
    if (draw_.percent(50)) *this << draw_.of(words().colours);
    *this << animal.noun << draw_.of(words().rests) << "在" << draw_.of(words().furniture)
          << (draw_.percent(60) ? "上" : "下面");
}

void ChineseWriter::said_that() {
    *this << person().name << draw_.of(words().speaking) << "：“";
    that(thing());
    *this << draw_.of(words().states) << "。”";
}

void ChineseWriter::only_thing() {
    const Person& who = person();
    const Thing& what = thing();
    *this << who.name << "只有一" << what.classifier;
    look();
    *this << what.noun << "，" << who.they() << "每天都把它" << draw_.of(topic_.verbs);
}

void ChineseWriter::came_from() {
    const Person& who = person();
    const bool native = draw_.percent(50);
    *this << who.name << (native ? "是" : "来自") << who.town << (native ? "人" : "");
}

void ChineseWriter::still_had() {
    const Person& who = person();
    *this << who.name << (draw_.percent(50) ? "一直留着那" : "总是带着那") << who.belonging.classifier << who.colour
          << who.belonging.noun;
}

/// The table: a production's share of the sentences, and what it gives.
const std::array<ChineseWriter::Production, 18> ChineseWriter::productions = {{
    {9, &ChineseWriter::there_is},           // 市场旁边有一条红色的围巾。
    {7, &ChineseWriter::building_opened},    // 去年那家新商场旁边开了一家新商店。
    {11, &ChineseWriter::with_ba},           // 李小红昨天把那本旧书借走了。
    {11, &ChineseWriter::with_bei},          // 那本旧书昨天被李小红借走了。
    {8, &ChineseWriter::bought},             // 今天李小红在市场买了两双鞋，她觉得很便宜。
    {5, &ChineseWriter::greeting},           // “三楼你好！”李小红说。
    {5, &ChineseWriter::greeting_reversed},  // 李小红说：“你好，四楼”。
    {6, &ChineseWriter::met_someone},  // 今天李小红出门去市场，在商店遇见了那位顾客，她说：“你好，楼主”。
    {3, &ChineseWriter::sum_of_numbers},       // 李小红数了数，三本书和五支铅笔，一共八件。
    {6, &ChineseWriter::comparison},           // 这辆汽车比那张车票贵。
    {5, &ChineseWriter::because},              // 因为那本旧书很贵，所以李小红没有买。
    {5, &ChineseWriter::although},             // 虽然李小红认识那位顾客，但是她没有去市场。
    {5, &ChineseWriter::question_and_answer},  // 那本旧书在哪儿？那本书在教室里面。
    {5, &ChineseWriter::animal_rested},        // 两只白色的猫睡在垫子上。
    {5, &ChineseWriter::said_that},            // 李小红说：“那本旧书不见了。”
    {4, &ChineseWriter::only_thing},           // 李小红只有一本旧书，她每天都把它收起来。
    {4, &ChineseWriter::came_from},            // 李小红来自北京。
    {5, &ChineseWriter::still_had},            // 李小红总是带着那把红色的雨伞。
}};

/// 李小红来自北京，她有一把红色的雨伞。
void ChineseWriter::introduce(const Person& who) {
    *this << who.name << "来自" << who.town << "，" << who.they() << "有一" << who.belonging.classifier << who.colour
          << who.belonging.noun << "。";
}

void ChineseWriter::paragraph() {
    for (int left = draw_.between(3, 8); left > 0; --left) {
        (this->*productions[draw_.weighted(productions)].write)();
        const bool ended = out_.size() >= 6 && out_.compare(out_.size() - 6, 6, "。”") == 0;
        if (!ended) *this << "。";
    }
}

std::string ChineseWriter::write() {
    for (const Person& who : people_) introduce(who);
    for (int left = draw_.between(3, 9); left > 0; --left) {
        paragraph();
        if (left > 1) *this << "\n";
    }
    return std::move(out_);
}

}  // namespace

std::string chinese_document(std::uint32_t seed, std::uint32_t index) { return ChineseWriter(seed, index).write(); }

}  // namespace locus
