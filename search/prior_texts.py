"""Texts of our own, each in Chinese and English, from which the means of the two languages are first estimated.

They say the same in both languages, so that what differs between the means is the language and nothing else.
"""

from typing import Final

QUERIES: Final = (
    ("客户嫌价格太贵怎么回应", "how to answer a customer who finds the price too high"),
    ("竞争对手报价更低", "competitor quotes a lower price"),
    ("数据安全与合规证明", "proof of data security and compliance"),
    ("银行业客户案例", "customer story from a bank"),
    ("迁移到云要停机多久", "how long is the downtime when moving to the cloud"),
    ("系统上线需要几个月", "how many months until the system goes live"),
    ("为什么不自己开发", "why not build it ourselves"),
    ("零售门店库存不准", "wrong stock numbers in retail stores"),
    ("制造业设备预测性维护", "predictive maintenance of machines in manufacturing"),
    ("总成本比较", "comparison of total cost of ownership"),
    ("售后服务响应时间", "response time of support after the sale"),
    ("合同付款条件能谈吗", "can the payment terms of the contract be negotiated"),
    ("如何说服财务总监", "how to convince the chief financial officer"),
    ("医院信息系统集成", "integration with a hospital information system"),
    ("去年获得了什么认证", "which certificate was obtained last year"),
    ("物流公司如何缩短配送时间", "how a logistics company made deliveries faster"),
    ("开源版本和商业版本的区别", "difference between the open source and the commercial edition"),
    ("性能瓶颈怎么解决", "how was the performance bottleneck solved"),
    ("谁负责培训员工", "who trains the employees"),
    ("产品路线图", "product roadmap"),
    ("试用期有多长", "how long is the trial"),
    ("教育行业在线课堂高峰", "peak load of online classes in education"),
    ("客户担心供应商锁定", "customer is afraid of vendor lock-in"),
    ("哪一年成立的", "in which year was it founded"),
    ("今天的会议几点开始？", "What time does the meeting start today?"),
    ("哪座城市的人口最多？", "Which city has the largest population?"),
    ("这种植物的叶子为什么会变黄？", "Why do the leaves of this plant turn yellow?"),
    ("谁在比赛中打破了纪录？", "Who broke the record at the games?"),
    ("河流在什么季节水位最高？", "In which season is the river at its highest?"),
    ("这座桥用了多少年建成？", "How many years did it take to build the bridge?"),
    ("国王把首都迁到了哪里？", "Where did the king move the capital?"),
    ("细胞内的能量是由什么产生的？", "What produces the energy inside a cell?"),
    ("这部小说的作者出生于哪一年？", "In what year was the author of the novel born?"),
    ("法律要求公司公布哪些信息？", "What information does the law require companies to publish?"),
    ("光在水中的速度与空气中相比如何？", "How does the speed of light in water compare with air?"),
    ("球队在决赛中以多少分获胜？", "By how many points did the team win the final?"),
    ("移民主要来自哪些国家？", "From which countries did most immigrants come?"),
    ("什么导致了经济在那十年里下滑？", "What caused the economy to decline in that decade?"),
    ("教会在战争期间起了什么作用？", "What role did the church play during the war?"),
    ("大学有多少名研究生？", "How many graduate students does the university have?"),
    ("用实时计算平台支撑公司的数据中台", "A real-time computing platform carries the company's data services"),
    ("让数百个任务的管理变得简单", "Making the management of hundreds of jobs simple"),
    ("从手工发布到一键上线：一家游戏公司的实践", "From manual releases to one click: how a games company did it"),
    ("云原生让保险公司的开发提速十倍", "Cloud native lets an insurer develop ten times faster"),
    ("航空公司把订票系统搬上容器平台", "An airline moves its booking system to a container platform"),
    ("新闻网站如何承受突发流量", "How a news site stands sudden traffic"),
    ("统一监控与告警的落地经验", "Lessons from bringing monitoring and alerts together"),
    ("汽车制造商的车联网数据分析", "Analysis of connected vehicle data at a car maker"),
    ("电信运营商降低一半服务器成本", "A telecom operator cuts its server cost in half"),
    ("开源项目在房地产行业的应用", "Using an open source project in real estate"),
    ("一支十人团队如何服务五千万用户", "How a team of ten serves fifty million users"),
    ("高性能计算与人工智能研究的基础设施", "Infrastructure for high performance computing and AI research"),
    ("给采购部门看的一页说明", "One page for the purchasing department"),
    ("系统架构演进的三个阶段", "Three stages in the evolution of the architecture"),
)

PASSAGES: Final = (
    (
        "先承认顾虑，再谈价值：我们的报价包含实施、培训和三年支持。客户去年因为停机损失的费用，已经超过两年的订阅费。",
        "Acknowledge the worry first, then talk about value: our quote includes implementation, training and three years of support. What the customer lost last year through downtime is already more than two years of subscription.",
    ),
    (
        "该银行原有系统每晚批处理需要六个小时。迁移之后，同样的工作在四十分钟内完成，客户经理早上就能看到最新数据。",
        "The bank's former system needed six hours for its nightly batch. After the migration the same work is done within forty minutes, and account managers see fresh data in the morning.",
    ),
    (
        "我们分批迁移，每次只动一个系统，并且随时可以回退。业务在整个过程中保持在线。",
        "We migrate in steps, one system at a time, and can go back at any moment. The business stays online all the way.",
    ),
    (
        "所有数据都存放在境内机房，传输和存储均加密。第三方审计每年进行一次，报告可以提供给客户。",
        "All data stays in data centres inside the country and is encrypted in transit and at rest. A third party audits us every year, and customers may see the report.",
    ),
    (
        "这家连锁零售商有一千二百家门店。以前盘点一次要三天，现在每家店用手持设备两小时完成，缺货率下降了三分之一。",
        "This retail chain has twelve hundred stores. Counting stock used to take three days; now every store does it in two hours with a handheld device, and shortages fell by a third.",
    ),
    (
        "自己开发需要一个五人团队至少一年，而且以后每年都要维护。把这笔人力成本算进去，购买方案在第二年就更便宜。",
        "Building it yourself takes a team of five for at least a year, and maintenance every year after. With that labour counted, buying is cheaper from the second year on.",
    ),
    (
        "传感器每秒采集一次振动和温度数据，模型提前两天预警轴承故障。工厂因此减少了百分之四十的计划外停机。",
        "Sensors record vibration and temperature every second, and a model warns of bearing failures two days ahead. The plant cut unplanned downtime by forty per cent.",
    ),
    (
        "标准版适合一百人以下的团队，企业版增加单点登录、审计日志和专属支持。两个版本可以随时升级。",
        "The standard edition suits teams below one hundred people; the enterprise edition adds single sign-on, audit logs and dedicated support. Upgrades are possible at any time.",
    ),
    (
        "不要贬低竞争对手。可以问客户：高峰时段的响应时间是多少？升级时需要停机吗？出现问题时谁来负责？",
        "Do not speak badly of the competitor. Ask the customer: what is the response time at peak hours? Does an upgrade need downtime? Who answers when something goes wrong?",
    ),
    (
        "该平台建立在开源组件之上，数据格式公开，客户随时可以导出全部内容，不存在被单一供应商锁定的风险。",
        "The platform is built on open source components with open data formats; customers can export everything at any time, so there is no risk of being locked in to one vendor.",
    ),
    (
        "医院的急诊、检验和影像系统原来各自独立。集成之后，医生在一个界面上看到病人的全部记录，平均等待时间缩短了十八分钟。",
        "The hospital's emergency, laboratory and imaging systems used to stand alone. After the integration doctors see a patient's whole record on one screen, and the average wait is eighteen minutes shorter.",
    ),
    (
        "首先部署测试环境，然后导入数据，最后进行用户验收。整个项目分为四个阶段，每个阶段结束时都有明确的交付物。",
        "First a test environment is set up, then data is imported, and finally users accept the result. The project has four phases, each with a clear deliverable at its end.",
    ),
    (
        "付款可以按季度进行，签约两年以上享受九折。超出这个范围的折扣需要区域总监批准。",
        "Payment can be made by the quarter, and contracts of two years or more get ten per cent off. Discounts beyond that need the approval of the regional director.",
    ),
    (
        "公司成立于二〇〇八年，总部设在上海，目前有六百名员工，服务亚洲和欧洲的两千多家客户。",
        "The company was founded in 2008, has its headquarters in Shanghai and six hundred employees, and serves more than two thousand customers in Asia and Europe.",
    ),
    (
        "集群每天处理五百亿条日志。采用流式计算之后，延迟从十分钟降到两秒，服务器数量减少了一半。",
        "The cluster processes fifty billion log lines a day. With stream processing the latency fell from ten minutes to two seconds, and the number of servers was halved.",
    ),
    (
        "财务总监关心的是现金流和风险：说明一次性投入与每月支出的区别，并给出第一年可以核实的节省数字。",
        "A chief financial officer cares about cash flow and risk: explain the difference between an upfront investment and a monthly expense, and give savings that can be verified in the first year.",
    ),
    (
        "技术支持团队全天候值守，严重故障十五分钟内响应，四小时内给出处理方案。",
        "The support team is on duty around the clock; serious incidents get an answer within fifteen minutes and a plan within four hours.",
    ),
    (
        "城市位于河流的北岸，十九世纪成为重要的贸易中心，今天以大学和音乐节闻名。",
        "The city lies on the northern bank of the river; it became an important centre of trade in the nineteenth century and is known today for its university and its music festival.",
    ),
    (
        "研究人员测量了不同温度下材料的强度，发现加入少量碳之后，强度明显提高，而重量几乎不变。",
        "Researchers measured the strength of the material at different temperatures and found that a little added carbon makes it much stronger while its weight hardly changes.",
    ),
    (
        "培训分为线上和线下两种，管理员课程两天，普通用户课程半天，结束后发放证书。",
        "Training is offered online and on site: two days for administrators, half a day for ordinary users, with a certificate at the end.",
    ),
    (
        "城市与河流\n这座城市建在两条河的交汇处，早在十二世纪就是重要的贸易港口。十九世纪铁路通车以后，人口在三十年里增加了四倍，许多工人从附近的乡村搬来。今天它是该地区的文化中心，有三所大学和一座歌剧院。",
        "A city and its rivers\nThe city stands where two rivers meet and was an important trading port as early as the twelfth century. After the railway opened in the nineteenth century its population grew fourfold within thirty years, with many workers moving in from villages nearby. Today it is the cultural centre of the region, with three universities and an opera house.",
    ),
    (
        "植物细胞用阳光把水和二氧化碳变成糖，同时放出氧气。这一过程发生在叶绿体里，需要几种酶参与。温度过高时酶会失去作用，产量随之下降。",
        "Plant cells use sunlight to turn water and carbon dioxide into sugar and give off oxygen. This happens in the chloroplasts and needs several enzymes. When it is too hot the enzymes stop working, and the yield falls.",
    ),
    (
        "球队在上半场落后十分，第三节换上替补后卫之后追平了比分。最后两分钟，队长连续投中三个三分球，以九十八比九十二取胜，这是他们六年来第一次进入决赛。",
        "The team was ten points behind at half-time and drew level after a reserve guard came on in the third quarter. In the last two minutes the captain made three long shots in a row, and they won by ninety-eight to ninety-two, reaching the final for the first time in six years.",
    ),
    (
        "战争结束后，议会通过了新的宪法，把行政权交给总理，国王只保留礼仪上的职责。各省获得了自己的税收和警察，但外交与军队仍归中央政府。",
        "After the war parliament passed a new constitution that gave executive power to the prime minister and left the king with ceremonial duties only. The provinces received taxes and police of their own, while foreign affairs and the army stayed with the central government.",
    ),
    (
        "数学家证明，只要满足两个条件，这个问题就能在多项式时间内解决。此前已知的算法需要的步骤随输入长度呈指数增长，因此在实践中只能处理很小的例子。",
        "The mathematician proved that the problem can be solved in polynomial time as long as two conditions hold. The algorithms known before needed a number of steps that grows exponentially with the length of the input, so in practice only small examples could be handled.",
    ),
    (
        "许多工人在十年里失去了工作，因为工厂搬到了工资更低的国家。经济学家对贸易与技术各自的影响看法不一，但都认为培训来得太晚。",
        "Many workers lost their jobs within a decade because factories moved to countries with lower wages. Economists disagree on how much was due to trade and how much to technology, but all think that training came too late.",
    ),
    (
        "背景\n公司的数据平台每天运行六百多个实时作业，分布在三个集群上。以前开发人员用脚本提交作业，参数写在各自的文件里，出了问题很难知道是谁在什么时候改了什么。",
        "Background\nThe company's data platform runs more than six hundred real-time jobs every day on three clusters. Developers used to submit jobs by script, with parameters in files of their own, and when something failed it was hard to know who had changed what and when.",
    ),
    (
        "解决方案\n团队引入了统一的作业管理平台：代码提交后自动编译，配置有版本，可以一键启动、停止和回退，状态与告警集中显示。学习成本低，新人两天就能上手。",
        "Solution\nThe team introduced one platform for managing jobs: code is compiled automatically after a commit, configuration has versions, starting, stopping and rolling back take one click, and state and alerts are shown in one place. It is easy to learn, and newcomers work with it after two days.",
    ),
    (
        "容器平台上线后，部署时间从几小时缩短到几分钟，服务器数量减少了三分之一。工程师说，最大的变化是开发团队可以自己发布，不用再等运维排期。",
        "Since the container platform went live, deployments take minutes instead of hours, and a third of the servers are gone. The biggest change, the engineers say, is that development teams release by themselves and no longer wait for operations to find a slot.",
    ),
    (
        "“我们选择这个项目，是因为社区活跃，文档齐全，接口稳定。”架构师说，“遇到问题时，几个小时内就有人回答。”今后他们打算把更多内部组件贡献出去。",
        "“We chose the project because its community is active, its documentation complete and its interfaces stable,” says the architect. “When we had a question, somebody answered within hours.” They intend to contribute more of their internal components in future.",
    ),
    (
        "将事件写入消息队列，由流处理引擎计算五分钟窗口内的指标，结果存入列式数据库，供报表查询。历史数据按天归档到对象存储，保留三年。",
        "Write the events to a message queue, let a stream processing engine compute metrics over windows of five minutes, and store the results in a columnar database for reports. Older data is archived to object storage by day and kept for three years.",
    ),
    (
        "步骤：一、打开设置页面；二、选择要连接的数据库并填写地址；三、点击测试连接；四、保存后等待第一次同步完成。如果测试失败，请检查防火墙是否放行了端口。",
        "Steps: 1. open the settings page; 2. choose the database to connect and enter its address; 3. click test connection; 4. save and wait for the first synchronisation to finish. If the test fails, check that the firewall lets the port through.",
    ),
    (
        "问：合同可以按月签吗？答：可以，但年付有折扣。提前解约需要在三十天前书面通知，已经使用的月份不退款。",
        "Question: can the contract run month by month? Answer: yes, though paying by the year is discounted. Ending it early takes written notice of thirty days, and months already used are not refunded.",
    ),
    (
        "医院过去用纸质表格交接班，平均每天丢失两份记录。电子系统上线三个月后，护士每班节省四十分钟，用药差错减少了一半以上。",
        "The hospital used to hand over shifts on paper forms and lost two records a day on average. Three months after the electronic system went live, nurses save forty minutes a shift, and errors in medication have fallen by more than half.",
    ),
    (
        "先听完客户的顾虑，再复述一遍，确认自己理解对了。不要急着给折扣：先问他们和什么相比、预算由谁决定、今年必须解决的是哪件事。",
        "Hear the customer's worry to the end, then say it back to be sure you understood. Do not hurry to give a discount: ask what they compare with, who decides on the budget, and which matter has to be solved this year.",
    ),
    (
        "无服务器架构让小团队只为实际用量付费。流量高峰时自动扩容，夜间缩到零；监控由云服务提供，不需要自己维护服务器。",
        "A serverless architecture lets a small team pay for actual use only. It scales out by itself at peaks and down to zero at night; the cloud service provides monitoring, and there are no servers to look after.",
    ),
)
